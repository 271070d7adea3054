'use strict';
// What is measured. A scenario has a title, the peers that take part, about how many seconds one
// measurement takes with start and stop, `run`, which gets a running peer and gives back its
// numbers by metric, and what these metrics mean: `better` is 'more' or 'less', `ratio` says
// whether quotients of two peers mean something, and `plot` is its title in the plot. Of what takes
// long and differs little there are `fewer` rounds, if nobody says how many.

const SCENARIOS = {
  ...require('../scenarios/rates'),
  ...require('../scenarios/blocking'),
  ...require('../scenarios/blocked'),
  ...require('../scenarios/overload'),
  ...require('../scenarios/changes'),
  ...require('../scenarios/spread'),
  ...require('../scenarios/resources'),
  ...require('../scenarios/elastic'),
};

const METRICS = Object.assign({}, ...Object.values(SCENARIOS).map(({ metrics }) => metrics));

const WORKERS = 2;
const ROUNDS = 5;
const FEWER_ROUNDS = 3;

const roundsOf = (scenario, { rounds }) => rounds ?? (SCENARIOS[scenario].fewer ? FEWER_ROUNDS : ROUNDS);
const workersIn = (scenario) => SCENARIOS[scenario].workers ?? WORKERS;

module.exports = { SCENARIOS, METRICS, ROUNDS, FEWER_ROUNDS, roundsOf, workersIn };
