import { expect, it } from 'vitest'
import { routerPort, urlOf } from '../../../src/domain/deploys/instance/index.ts'
import type { Router } from '../../../src/domain/deploys/instance/ports.ts'
import type { App } from '../../../src/platform/work.ts'

const shop = { kind: 'WEB', slug: 'shop' } as const

function appWith(settings: { PUBLIC_URL?: string }): App {
  const app = { settings: { ROUTER_DOMAIN: 'apps.example.com', ...settings } } as App
  routerPort.provide(app, { port: 4080 } as Router)
  return app
}

it("is the router's own address if there is no proxy in front of it", () => {
  expect(urlOf(appWith({}), shop)).toBe('http://shop.apps.example.com:4080')
  expect(urlOf(appWith({ PUBLIC_URL: 'http://127.0.0.1:4000' }), shop)).toBe('http://shop.apps.example.com:4080')
})

it('is https without a port if PUBLIC_URL shows that a proxy terminates TLS', () => {
  expect(urlOf(appWith({ PUBLIC_URL: 'https://quayside.example.com' }), shop)).toBe('https://shop.apps.example.com')
})

it('is null for a worker, which accepts no requests', () => {
  expect(urlOf(appWith({}), { kind: 'WORKER', slug: 'jobs' })).toBeNull()
})
