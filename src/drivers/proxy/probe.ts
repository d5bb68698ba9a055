import { request as httpRequest } from 'node:http'
import type { RouterProbe } from '../../domain/deploys/instance/ports.ts'

export type RouterProbeOptions = { host: string; port: () => number }

/** Never throws: what can't be reached has status null. The answer's body is not read. */
export function createRouterProbe(options: RouterProbeOptions): RouterProbe {
  return {
    request: (host, path, timeoutMs) =>
      new Promise((resolve) => {
        const nothing = { status: null, release: null, deployment: null, error: null }
        const signal = AbortSignal.timeout(timeoutMs)
        try {
          // fetch can't be used: it resolves no *.localhost and drops a Host header.
          const sent = httpRequest({ host: options.host, port: options.port(), path, headers: { Host: host }, agent: false, signal })
          sent.on('error', () => resolve(nothing))
          sent.on('response', (response) => {
            const header = (name: string) => [response.headers[name]].flat()[0] ?? null
            resolve({
              status: response.statusCode ?? null,
              release: header('x-quayside-release'),
              deployment: header('x-quayside-deployment'),
              error: header('x-quayside-error'),
            })
            sent.destroy()
          })
          sent.end()
        } catch {
          resolve(nothing)
        }
      }),
  }
}
