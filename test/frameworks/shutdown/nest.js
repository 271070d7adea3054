'use strict';
require('reflect-metadata');
const { Controller, Get, Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { listens, slow } = require('./handler');

class Hello {
  hello() {
    return 'hello';
  }
  slow() {
    return slow();
  }
}
const route = (path, name) =>
  Get(path)(Hello.prototype, name, Object.getOwnPropertyDescriptor(Hello.prototype, name));
route('/', 'hello');
route('/slow', 'slow');
Controller()(Hello);
class App {}
Module({ controllers: [Hello] })(App);
NestFactory.create(App, { logger: false }).then((app) =>
  app.enableShutdownHooks().listen(process.env.PORT).then(listens),
);
