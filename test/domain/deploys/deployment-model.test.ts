import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ServiceSettings, serviceSettings } from '../../../src/domain/apps/web-service/index.ts'
import {
  changesBetween,
  enqueue,
  isCancellable,
  phases,
  rollbackBlockers,
  transitions,
  type Waiting,
} from '../../../src/domain/deploys/deployment/model.ts'
import { activeStatuses } from '../../../src/domain/deploys/instance/index.ts'
import type { DeploymentStatus } from '../../../src/generated/prisma/client.ts'
import { assemble } from '../../../src/platform/concept.ts'
import { readSettings } from '../../../src/platform/settings.ts'

const statuses = Object.keys(transitions) as DeploymentStatus[]

describe('transitions', () => {
  it('lead from QUEUED to every status, and from no final status to another', () => {
    const reached = new Set<DeploymentStatus>(['QUEUED'])
    for (const status of reached) for (const next of transitions[status]) reached.add(next)
    expect([...reached].sort()).toEqual([...statuses].sort())
    expect(statuses.filter((status) => transitions[status].length === 0).sort()).toEqual(['CANCELLED', 'FAILED', 'SKIPPED', 'SUPERSEDED'])
  })

  it('allow only a running deployment to go live, and only a queued one to be skipped', () => {
    expect(statuses.filter((status) => transitions[status].includes('LIVE'))).toEqual(['RUNNING'])
    expect(statuses.filter((status) => transitions[status].includes('SKIPPED'))).toEqual(['QUEUED'])
    expect(statuses.filter((status) => transitions[status].includes('SUPERSEDED'))).toEqual(['LIVE'])
  })
})

describe('isCancellable', () => {
  it('is true up to and including VERIFY', () => {
    expect(isCancellable({ status: 'QUEUED', phase: null })).toBe(true)
    expect(phases.filter((phase) => isCancellable({ status: 'RUNNING', phase }))).toEqual([
      'PREPARE',
      'BUILD',
      'RELEASE',
      'START',
      'VERIFY',
    ])
    for (const status of statuses.filter((status) => status !== 'QUEUED' && status !== 'RUNNING'))
      expect(isCancellable({ status, phase: 'BUILD' })).toBe(false)
  })
})

describe('enqueue', () => {
  const running: Waiting = { id: 'r', status: 'RUNNING', kind: 'DEPLOY', phase: 'VERIFY' }
  const cancelling: Waiting = { ...running, id: 'c', status: 'CANCELLING' }
  const switching: Waiting = { ...running, id: 's', phase: 'SWITCH' }
  const queued = (id: string, kind: Waiting['kind'] = 'DEPLOY'): Waiting => ({ id, status: 'QUEUED', kind, phase: null })
  const placed = (displaced: string[] = [], cancelled: string[] = []) => ({ displaced, cancelled })

  it.each<[string, Parameters<typeof enqueue>, ReturnType<typeof enqueue>]>([
    ['accepts the first deployment under every policy', ['REJECT', 'DEPLOY', []], placed()],
    ['rejects beside a running one under REJECT', ['REJECT', 'DEPLOY', [running]], { blockedBy: 'r' }],
    ['rejects beside a queued one under REJECT', ['REJECT', 'DEPLOY', [queued('a')]], { blockedBy: 'a' }],
    ['keeps all under QUEUE_ALL', ['QUEUE_ALL', 'DEPLOY', [running, queued('a'), queued('b')]], placed()],
    ['displaces the queued one under QUEUE_LATEST', ['QUEUE_LATEST', 'DEPLOY', [running, queued('a')]], placed(['a'])],
    ['displaces it also while the active one is being cancelled', ['QUEUE_LATEST', 'DEPLOY', [cancelling, queued('a')]], placed(['a'])],
    ['keeps the queued one that is about to run', ['QUEUE_LATEST', 'DEPLOY', [queued('a')]], placed()],
    ['displaces those queued after it', ['QUEUE_LATEST', 'DEPLOY', [queued('a'), queued('b')]], placed(['b'])],
    [
      'lets a rollback displace queued ones and cancel the running one',
      ['QUEUE_ALL', 'ROLLBACK', [running, queued('a')]],
      placed(['a'], ['r']),
    ],
    ['accepts a rollback under REJECT', ['REJECT', 'ROLLBACK', [running]], placed([], ['r'])],
    ['lets a rollback displace another', ['QUEUE_LATEST', 'ROLLBACK', [cancelling, queued('a', 'ROLLBACK')]], placed(['a'])],
    ['lets a rollback wait for a switch', ['QUEUE_LATEST', 'ROLLBACK', [switching]], placed()],
    ['does not displace a rollback with a deploy', ['QUEUE_LATEST', 'DEPLOY', [cancelling, queued('a', 'ROLLBACK')]], placed()],
  ])('%s', (_what, [policy, kind, unfinished], outcome) => {
    expect(enqueue(policy, kind, unfinished)).toEqual(outcome)
  })

  it('keeps at most one queued deployment under QUEUE_LATEST, besides the one that runs or is about to run', () => {
    const anyQueue = fc
      .tuple(fc.constantFrom(null, 'RUNNING', 'CANCELLING'), fc.integer({ min: 0, max: 5 }))
      .map(([active, waiting]): Waiting[] => [
        ...(active ? [{ ...running, id: 'active', status: active } as Waiting] : []),
        ...Array.from({ length: waiting }, (_, index) => queued(String(index))),
      ])
    fc.assert(
      fc.property(anyQueue, (unfinished) => {
        const outcome = enqueue('QUEUE_LATEST', 'DEPLOY', unfinished)
        const displaced = 'displaced' in outcome ? outcome.displaced : null
        const left = unfinished.filter(({ id }) => !displaced!.includes(id))
        expect(left.length).toBeLessThanOrEqual(1)
        expect(left).toEqual(unfinished.slice(0, 1))
        expect(unfinished.filter(({ status }) => activeStatuses.has(status)).every((one) => left.includes(one))).toBe(true)
      }),
    )
  })
})

describe('rollbackBlockers', () => {
  const fine = { status: 'SUPERSEDED', liveAt: new Date(), hasRelease: true, serviceDeleted: false } as const
  it.each<[string, Partial<Parameters<typeof rollbackBlockers>[0]>, string[]]>([
    ['a superseded deployment whose release is stored', {}, []],
    ['a deployment that never went live', { status: 'FAILED', liveAt: null }, ['NEVER_LIVE']],
    ['the live deployment', { status: 'LIVE' }, ['ALREADY_LIVE']],
    ['a deployment whose release has expired', { hasRelease: false }, ['ARTIFACT_EXPIRED']],
    ['a deployment of a deleted service', { serviceDeleted: true }, ['SERVICE_DELETED']],
    [
      'a deployment of a deleted service that never went live',
      { serviceDeleted: true, status: 'FAILED', liveAt: null },
      ['SERVICE_DELETED', 'NEVER_LIVE'],
    ],
  ])('of %s', (_what, change, codes) => {
    const blockers = rollbackBlockers({ ...fine, ...change })
    expect(blockers.map((blocker) => blocker.code)).toEqual(codes)
    for (const { message } of blockers) expect(message).toMatch(/\.$/)
  })
})

describe('changesBetween', () => {
  const settings: ServiceSettings = {
    kind: 'WEB',
    ...serviceSettings.values(
      { settings: readSettings({}), domain: assemble([]) },
      { repositoryUrl: 'file:///shop', startCommand: 'node server.js' },
    ),
  }

  it('returns the commit and each setting that differ, and nothing else', () => {
    const next = { ...settings, startCommand: null, maxInstances: 3 }
    expect(changesBetween({ commitHash: 'a', settings }, { commitHash: 'b', settings: next })).toEqual([
      { kind: 'COMMIT', key: 'commit', from: 'a', to: 'b' },
      { kind: 'SETTING', key: 'maxInstances', from: '1', to: '3' },
      { kind: 'SETTING', key: 'startCommand', from: 'node server.js', to: null },
    ])
    expect(changesBetween({ commitHash: 'a', settings }, { commitHash: 'a', settings })).toEqual([])
  })

  it('returns the settings of the kind too, but not what only the current deployment has pinned', () => {
    const before = { ...settings, extra: { workers: 0, pinned: 'abc' } }
    const next = { ...settings, extra: { workers: 2 } }
    const changes = changesBetween({ commitHash: 'a', settings: before }, { commitHash: 'a', settings: next })
    expect(changes).toEqual([{ kind: 'SETTING', key: 'workers', from: '0', to: '2' }])
    const added = changesBetween({ commitHash: 'a', settings }, { commitHash: 'a', settings: next })
    expect(added).toEqual([{ kind: 'SETTING', key: 'workers', from: null, to: '2' }])
  })

  it('returns every setting as new if no deployment is live', () => {
    const keys = changesBetween(null, { commitHash: 'a', settings }).map(({ key, from }) => [key, from])
    expect(keys).toContainEqual(['commit', null])
    expect(keys).toContainEqual(['branch', null])
  })
})
