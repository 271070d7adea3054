// Run with `node --import tsx server.ts`, or build it with tsc.
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import Cluster from 'cluster2-rs';

@Controller()
class HelloController {
  @Get()
  hello(): string {
    return `hello from ${process.pid}`;
  }
}

@Module({ controllers: [HelloController] })
class AppModule {}

new Cluster({ port: 3000 }).listen(async (callback) => {
  callback(await NestFactory.create(AppModule, { logger: ['error', 'warn'] }));
});
