'use strict';
// The request handler of each server here. helpers/shutdowns.js waits for its lines.
exports.slow = () => {
  console.log('got');
  return new Promise((resolve) => setTimeout(resolve, 500, 'slow'));
};
exports.handler = async (request, response) =>
  response.end(request.url === '/slow' ? await exports.slow() : 'hello');
exports.listens = () => console.log('listens');
