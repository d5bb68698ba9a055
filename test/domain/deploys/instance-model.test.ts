import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type InstanceState,
  planInstances,
  restartDelayMs,
  type ServiceState,
  scaleBy,
  statusOf,
  wantedInstances,
} from '../../../src/domain/deploys/instance/model.ts'

const service = (change: Partial<ServiceState> = {}): ServiceState => ({
  kind: 'WEB',
  desiredState: 'RUNNING',
  generation: 1,
  minInstances: 1,
  maxInstances: 3,
  wanted: 1,
  liveDeploymentId: 'live',
  activeDeploymentId: null,
  ...change,
})

let ids = 0
const instance = (change: Partial<InstanceState> = {}): InstanceState => ({
  id: `i${String(++ids).padStart(6, '0')}`,
  deploymentId: 'live',
  generation: 1,
  status: 'RUNNING',
  routed: true,
  draining: false,
  drained: false,
  crashes: 0,
  startDue: true,
  observed: 'running',
  ...change,
})

const anyService: fc.Arbitrary<ServiceState> = fc
  .record({
    kind: fc.constantFrom('WEB', 'WORKER', 'STATIC_SITE'),
    desiredState: fc.constantFrom('RUNNING', 'RUNNING', 'STOPPED', 'DELETED'),
    generation: fc.integer({ min: 1, max: 3 }),
    minInstances: fc.integer({ min: 1, max: 4 }),
    spare: fc.integer({ min: 0, max: 3 }),
    wanted: fc.integer({ min: 0, max: 8 }),
    liveDeploymentId: fc.constantFrom('live', 'live', null),
    activeDeploymentId: fc.constantFrom(null, 'active'),
  } as const)
  .map(({ spare, ...rest }) => ({ ...rest, maxInstances: rest.minInstances + spare }) as ServiceState)

const anyInstance: fc.Arbitrary<InstanceState> = fc
  .record({
    deploymentId: fc.constantFrom('live', 'former', 'active'),
    generation: fc.integer({ min: 1, max: 3 }),
    status: fc.constantFrom('STARTING', 'RUNNING', 'CRASHED', 'STOPPING'),
    draining: fc.boolean(),
    drained: fc.boolean(),
    crashes: fc.integer({ min: 0, max: 2 }),
    startDue: fc.boolean(),
    observed: fc.constantFrom('running', 'exited', 'lost', 'missing'),
  } as const)
  .map((state) => instance(state as Partial<InstanceState>))

/** What the planned actions bring about where everything goes well; time passes until waits are over. */
function tick(wanted: ServiceState, instances: InstanceState[]): InstanceState[] {
  const actions = planInstances(wanted, instances)
  const done = (type: string, { id }: InstanceState) => actions.some((action) => action.type === type && 'id' in action && action.id === id)
  const added = actions.flatMap((action) => (action.type === 'add' ? Array.from({ length: action.count }) : []))
  return [
    ...instances
      .filter((one) => !done('remove', one))
      .map((one): InstanceState => {
        if (one.deploymentId === wanted.activeDeploymentId) return one
        if (done('stop', one)) return { ...one, status: 'STOPPING', observed: 'exited' }
        if (done('drain', one)) return { ...one, draining: true, routed: false }
        if (one.draining) return { ...one, drained: true }
        if (done('crashed', one)) return { ...one, status: 'CRASHED', crashes: one.crashes + 1, startDue: false }
        if (done('start', one)) return { ...one, status: 'STARTING', observed: 'running' }
        if (one.status === 'STARTING' && one.observed === 'running') return { ...one, status: 'RUNNING' }
        return { ...one, startDue: true }
      }),
    ...added.map(() =>
      instance({
        deploymentId: wanted.liveDeploymentId!,
        generation: wanted.generation,
        status: 'STARTING',
        observed: 'missing',
        routed: false,
      }),
    ),
  ]
}

const servingOf = (wanted: ServiceState, instances: InstanceState[]) =>
  instances.filter(
    (one) => one.deploymentId === wanted.liveDeploymentId && one.status === 'RUNNING' && one.observed === 'running' && !one.draining,
  ).length

describe('planInstances', () => {
  it('comes to what is wanted from any state, and then does nothing any more', () => {
    fc.assert(
      fc.property(anyService, fc.array(anyInstance, { maxLength: 8 }), (wanted, begin) => {
        let instances = begin
        for (let round = 0; round < 25; round++) instances = tick(wanted, instances)
        expect(planInstances(wanted, instances)).toEqual([])
        const owned = instances.filter((one) => one.deploymentId !== wanted.activeDeploymentId)
        expect(owned).toHaveLength(wantedInstances(wanted))
        for (const one of owned)
          expect(one).toMatchObject({ deploymentId: 'live', generation: wanted.generation, status: 'RUNNING', draining: false })
        expect(statusOf(wanted, instances)).toBe(wanted.desiredState === 'RUNNING' && wanted.liveDeploymentId ? 'RUNNING' : 'STOPPED')
      }),
      { numRuns: 1_000 },
    )
  })

  it('leaves the instances of a running deployment to it', () => {
    fc.assert(
      fc.property(anyService, fc.array(anyInstance, { maxLength: 8 }), (wanted, instances) => {
        const theirs = new Set(instances.filter((one) => one.deploymentId === wanted.activeDeploymentId).map((one) => one.id))
        for (const action of planInstances(wanted, instances)) if ('id' in action) expect(theirs).not.toContain(action.id)
      }),
    )
  })

  it('never takes one away that serves before as many others serve as are wanted', () => {
    fc.assert(
      fc.property(anyService, fc.array(anyInstance, { maxLength: 8 }), (wanted, begin) => {
        let instances = begin
        const floor = Math.min(servingOf(wanted, begin), wantedInstances(wanted))
        for (let round = 0; round < 25; round++) {
          instances = tick(wanted, instances)
          expect(servingOf(wanted, instances)).toBeGreaterThanOrEqual(floor)
        }
      }),
    )
  })

  it('says each thing once, and of one instance one thing', () => {
    fc.assert(
      fc.property(anyService, fc.array(anyInstance, { maxLength: 8 }), (wanted, instances) => {
        const told = planInstances(wanted, instances).map((action) => ('id' in action ? action.id : 'add'))
        expect(new Set(told).size).toBe(told.length)
      }),
    )
  })

  it('starts new ones for a restart while the former go on, and drains those once the new ones are well', () => {
    const former = [instance(), instance()]
    const restarted = service({ generation: 2, minInstances: 2, wanted: 2 })
    expect(planInstances(restarted, former)).toEqual([{ type: 'add', count: 2 }])
    const coming = [instance({ generation: 2, status: 'STARTING' }), instance({ generation: 2 })]
    expect(planInstances(restarted, [...former, ...coming])).toEqual([])
    const come = coming.map((one): InstanceState => ({ ...one, status: 'RUNNING' }))
    expect(planInstances(restarted, [...former, ...come])).toEqual(former.map(({ id }) => ({ type: 'drain', id })))
  })

  it('waits with the next start of a crashed one until it is due', () => {
    const crashed = instance({ status: 'CRASHED', observed: 'exited', startDue: false })
    expect(planInstances(service(), [crashed])).toEqual([])
    expect(planInstances(service(), [{ ...crashed, startDue: true }])).toEqual([{ type: 'start', id: crashed.id }])
    // Its start was noted by nobody: it must not count as crashed for ever.
    expect(planInstances(service(), [{ ...crashed, startDue: true, observed: 'running' }])).toEqual([{ type: 'start', id: crashed.id }])
  })
})

describe('statusOf', () => {
  it.each<[string, Partial<ServiceState>, Partial<InstanceState>[], string]>([
    ['nothing was ever live', { liveDeploymentId: null }, [], 'STOPPED'],
    ['it is stopped and nothing runs', { desiredState: 'STOPPED' }, [], 'STOPPED'],
    ['it is stopped and something still runs', { desiredState: 'STOPPED' }, [{ draining: true }], 'STOPPING'],
    ['a static site is live', { kind: 'STATIC_SITE' }, [], 'RUNNING'],
    ['all are well', { minInstances: 2 }, [{}, {}], 'RUNNING'],
    ['some are well', { minInstances: 2 }, [{}, { status: 'CRASHED', crashes: 1, observed: 'exited' }], 'DEGRADED'],
    ['none is well yet', {}, [{ status: 'STARTING' }], 'STARTING'],
    ['the only one has ended', {}, [{ status: 'CRASHED', crashes: 1, observed: 'exited' }], 'CRASHED'],
    ['it is on its way up again after it ended', {}, [{ status: 'STARTING', crashes: 1 }], 'CRASHED'],
    ['it was lost with its machine', {}, [{ status: 'CRASHED', crashes: 0, observed: 'missing' }], 'STARTING'],
    [
      'only a running deployment has instances',
      { activeDeploymentId: 'active', liveDeploymentId: null },
      [{ deploymentId: 'active' }],
      'STOPPED',
    ],
  ])('when %s', (_when, change, states, status) => {
    expect(statusOf(service(change), states.map(instance))).toBe(status)
  })
})

describe('scaleBy', () => {
  it('asks for one more when all are busy, and for one less when the rest could carry the load', () => {
    expect(scaleBy(19, 1)).toBe('same')
    expect(scaleBy(20, 1)).toBe('more')
    expect(scaleBy(39, 2)).toBe('same')
    expect(scaleBy(40, 2)).toBe('more')
    expect(scaleBy(19, 2)).toBe('less')
    expect(scaleBy(20, 2)).toBe('same')
    expect(scaleBy(0, 1)).toBe('same')
    expect(scaleBy(100, 0)).toBe('same')
  })

  it('never asks back at once for what it gave', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 20 }), (inFlight, running) => {
        const asked = scaleBy(inFlight, running)
        if (asked === 'more') expect(scaleBy(inFlight, running + 1)).not.toBe('less')
        if (asked === 'less') expect(scaleBy(inFlight, running - 1)).not.toBe('more')
      }),
    )
  })
})

describe('restartDelayMs', () => {
  it('doubles with each crash in a row, up to five minutes', () => {
    expect([1, 2, 3, 4].map((crashes) => restartDelayMs(crashes, 1_000))).toEqual([1_000, 2_000, 4_000, 8_000])
    expect(restartDelayMs(50, 1_000)).toBe(300_000)
  })
})
