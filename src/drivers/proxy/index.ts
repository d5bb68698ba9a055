/**
 * The HTTP router in front of what runs here: Host header to instance or static tree, over plain HTTP/1.1.
 * Not here: which release is live and when an instance may be stopped (the domain's), TLS, and any state that outlives the
 * process: the table is handed over whole by `apply`.
 */
export { openPrivateRoutes, type PrivateRoutes } from './private-route.ts'
export { createRouterProbe, type RouterProbeOptions } from './probe.ts'
export { createProxyRouter, type ProxyRouterOptions, type RequestRecord } from './router.ts'
