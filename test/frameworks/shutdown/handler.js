'use strict';
// The request handler of each server here, see helpers/shutdowns.js.
exports.slow = () => {
  console.log('got');
  return new Promise((resolve) => setTimeout(resolve, 500, 'slow'));
};
exports.handler = async (request, response) =>
  response.end(request.url === '/slow' ? await exports.slow() : 'hello');
exports.listens = () => console.log('listens');
