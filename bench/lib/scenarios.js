'use strict';
// What is measured. A scenario has a title, the peers that take part, about how many seconds one measurement takes
// with start and stop, `run`, which gets a running peer and gives back its numbers by metric, and what these metrics
// mean: `better` is 'more' or 'less', and `ratio` says whether quotients of two peers mean something.

const SCENARIOS = {
  ...require('../scenarios/rates'),
  ...require('../scenarios/blocking'),
  ...require('../scenarios/changes'),
  ...require('../scenarios/resources'),
};

const METRICS = Object.assign({}, ...Object.values(SCENARIOS).map(({ metrics }) => metrics));

const WORKERS = 2;
const workersIn = (scenario) => SCENARIOS[scenario].workers ?? WORKERS;

module.exports = { SCENARIOS, METRICS, WORKERS, workersIn };
