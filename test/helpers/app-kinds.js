'use strict';

/** The kinds of fixtures/app-kinds.js that speak HTTP/1. */
const HTTP_APPS = [
  ...['http', 'https', 'connect', 'koa', 'fastify'],
  ...['express2', 'express3', 'express4', 'express5'],
];

module.exports = { HTTP_APPS };
