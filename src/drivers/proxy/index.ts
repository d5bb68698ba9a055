/**
 * The HTTP router in front of the services: from the Host header to an instance or a static site, over plain HTTP/1.1. It does not
 * decide which release is live or when an instance may be stopped (the domain does), does not terminate TLS, and keeps no state beyond
 * the process: it receives its whole table with `apply`.
 */
export { openPrivateRoutes, type PrivateRoutes } from './private-route.ts'
export { createRouterProbe, type RouterProbeOptions } from './probe.ts'
export { createProxyRouter, type ProxyRouterOptions, type RequestRecord } from './router.ts'
