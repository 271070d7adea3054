export default {
  output: 'standalone',
  outputFileTracingRoot: import.meta.dirname,
  // Lies beside Next's own server.js then.
  outputFileTracingIncludes: { '/*': ['./cluster.js'] },
};
