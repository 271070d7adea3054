'use strict';

const server = require('../app')().listen(Number(process.env.PORT), '0.0.0.0');

process.on('SIGINT', () => server.close(() => process.exit()));
