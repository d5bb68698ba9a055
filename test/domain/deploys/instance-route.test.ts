import { beforeAll, describe, expect, it } from 'vitest'
import { routeOf } from '../../../src/domain/deploys/instance/route.ts'
import { concepts } from '../../../src/domain/index.ts'
import { assemble } from '../../../src/platform/concept.ts'

// Ids are printed with the prefixes that the concepts declare.
beforeAll(() => void assemble(concepts))

const id = '0190a6c8-0000-7000-8000-000000000001'
const deploymentId = '0190a6c8-0000-7000-8000-000000000002'
type Row = Parameters<typeof routeOf>[0]
const row = (change: Partial<Row> = {}): Row => ({
  id,
  slug: 'shop',
  kind: 'WEB',
  desiredState: 'RUNNING',
  deploymentId,
  digest: 'sha256:1',
  singlePage: false,
  switching: false,
  held: false,
  instanceIds: ['one'],
  domains: [],
  primary: null,
  ...change,
})

describe('routeOf', () => {
  it('routes requests for the slug under the domain to the instances of the routed deployment', () => {
    expect(routeOf(row(), 'localhost')).toMatchObject({
      host: 'shop.localhost',
      serviceId: expect.stringMatching(/^svc_/),
      digest: 'sha256:1',
      deploymentId: expect.stringMatching(/^dep_/),
      target: { type: 'instances', instanceIds: ['one'] },
    })
  })

  it.each<[string, Partial<Row>, unknown]>([
    ['has never been deployed', { deploymentId: null, digest: null }, { type: 'unavailable', error: 'service_not_deployed' }],
    ['is stopped', { desiredState: 'STOPPED' }, { type: 'unavailable', error: 'service_stopped' }],
    ['was stopped and is being switched', { desiredState: 'STOPPED', switching: true }, { type: 'instances', instanceIds: ['one'] }],
    ['is static', { kind: 'STATIC_SITE', instanceIds: [] }, { type: 'static', singlePage: false }],
    ['is a single-page static site', { kind: 'STATIC_SITE', singlePage: true }, { type: 'static', singlePage: true }],
    ['waits for its next instance', { held: true, instanceIds: [] }, { type: 'held' }],
    ['still has an instance while requests are to be held', { held: true }, { type: 'instances', instanceIds: ['one'] }],
    [
      'was stopped while requests were held',
      { held: true, instanceIds: [], desiredState: 'STOPPED' },
      { type: 'unavailable', error: 'service_stopped' },
    ],
    ['has no healthy instance', { instanceIds: [] }, { type: 'instances', instanceIds: [] }],
  ])('returns the target of a service that %s', (_what, change, target) => {
    expect(routeOf(row(change), 'localhost').target).toEqual(target)
  })

  it('includes the domains of the service, also while it is stopped', () => {
    const domains = { domains: ['shop.example', 'www.shop.example'], primary: 'shop.example' }
    expect(routeOf(row(domains), 'localhost')).toMatchObject({ host: 'shop.localhost', ...domains })
    expect(routeOf(row({ ...domains, desiredState: 'STOPPED' }), 'localhost')).toMatchObject(domains)
    expect(routeOf(row(), 'localhost')).not.toHaveProperty('domains')
  })

  it('includes no release if the service has none to serve', () => {
    expect(routeOf(row({ desiredState: 'STOPPED' }), 'localhost')).toMatchObject({ digest: null, deploymentId: null })
  })
})
