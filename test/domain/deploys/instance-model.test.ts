import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type InstanceState,
  isReplaced,
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
  standsAside: false,
  isExclusive: false,
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
    standsAside: fc.constant(false),
    isExclusive: fc.constant(false),
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

/** Applies the planned actions as if all of them succeed, and lets all delays pass. */
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

const isOfActive =
  ({ activeDeploymentId }: ServiceState) =>
  ({ deploymentId }: InstanceState) =>
    deploymentId === activeDeploymentId

const servingOf = (wanted: ServiceState, instances: InstanceState[]) =>
  instances.filter(
    (one) => one.deploymentId === wanted.liveDeploymentId && one.status === 'RUNNING' && one.observed === 'running' && !one.draining,
  ).length

describe('planInstances', () => {
  it('reaches the desired state from any state, and then plans nothing', () => {
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

  it('never has two instances of an exclusive service started, and reaches the desired state', () => {
    const exclusive = anyService.chain((one) =>
      fc.boolean().map((aside): ServiceState => {
        const standsAside = aside && one.activeDeploymentId !== null
        return { ...one, minInstances: 1, maxInstances: 1, isExclusive: true, standsAside }
      }),
    )
    fc.assert(
      fc.property(exclusive, fc.array(anyInstance, { maxLength: 4 }), (wanted, begin) => {
        let instances = begin
        for (let round = 0; round < 25; round++) {
          const starts = planInstances(wanted, instances).filter(({ type }) => type === 'start' || type === 'add')
          expect(starts.length).toBeLessThanOrEqual(1)
          for (const start of starts) expect(instances.filter(({ id }) => !('id' in start) || id !== start.id)).toEqual([])
          instances = tick(wanted, instances)
        }
        const [own, others] = [instances.filter(isOfActive(wanted)), instances.filter((one) => !isOfActive(wanted)(one))]
        if (own.length === 0) expect(others).toHaveLength(wantedInstances(wanted))
        if (own.length === 0) expect(isReplaced(wanted, others)).toBe(!wanted.standsAside)
        if (wanted.standsAside) expect(others).toEqual([])
      }),
      { numRuns: 1_000 },
    )
  })

  it('ignores the instances of a running deployment', () => {
    fc.assert(
      fc.property(anyService, fc.array(anyInstance, { maxLength: 8 }), (wanted, instances) => {
        const theirs = new Set(instances.filter((one) => one.deploymentId === wanted.activeDeploymentId).map((one) => one.id))
        for (const action of planInstances(wanted, instances)) if ('id' in action) expect(theirs).not.toContain(action.id)
      }),
    )
  })

  it('removes no serving instance before the desired number of others serve', () => {
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

  it('plans each action once, and at most one per instance', () => {
    fc.assert(
      fc.property(anyService, fc.array(anyInstance, { maxLength: 8 }), (wanted, instances) => {
        const planned = planInstances(wanted, instances).map((action) => ('id' in action ? action.id : 'add'))
        expect(new Set(planned).size).toBe(planned.length)
      }),
    )
  })

  it('on a restart, starts new instances beside the old ones, and drains the old ones once the new ones are healthy', () => {
    const former = [instance(), instance()]
    const restarted = service({ generation: 2, minInstances: 2, wanted: 2 })
    expect(planInstances(restarted, former)).toEqual([{ type: 'add', count: 2 }])
    const coming = [instance({ generation: 2, status: 'STARTING' }), instance({ generation: 2 })]
    expect(planInstances(restarted, [...former, ...coming])).toEqual([])
    const come = coming.map((one): InstanceState => ({ ...one, status: 'RUNNING' }))
    expect(planInstances(restarted, [...former, ...come])).toEqual(former.map(({ id }) => ({ type: 'drain', id })))
  })

  it('starts a crashed instance only when its next start is due', () => {
    const crashed = instance({ status: 'CRASHED', observed: 'exited', startDue: false })
    expect(planInstances(service(), [crashed])).toEqual([])
    expect(planInstances(service(), [{ ...crashed, startDue: true }])).toEqual([{ type: 'start', id: crashed.id }])
    // Its start was not recorded, but it must not stay CRASHED forever.
    expect(planInstances(service(), [{ ...crashed, startDue: true, observed: 'running' }])).toEqual([{ type: 'start', id: crashed.id }])
  })
})

describe('statusOf', () => {
  it.each<[string, Partial<ServiceState>, Partial<InstanceState>[], string]>([
    ['no deployment has been live', { liveDeploymentId: null }, [], 'STOPPED'],
    ['it is stopped and has no instances', { desiredState: 'STOPPED' }, [], 'STOPPED'],
    ['it is stopped and an instance still runs', { desiredState: 'STOPPED' }, [{ draining: true }], 'STOPPING'],
    ['a static site is live', { kind: 'STATIC_SITE' }, [], 'RUNNING'],
    ['all instances are healthy', { minInstances: 2 }, [{}, {}], 'RUNNING'],
    ['some instances are healthy', { minInstances: 2 }, [{}, { status: 'CRASHED', crashes: 1, observed: 'exited' }], 'DEGRADED'],
    ['no instance is healthy yet', {}, [{ status: 'STARTING' }], 'STARTING'],
    ['the only instance has crashed', {}, [{ status: 'CRASHED', crashes: 1, observed: 'exited' }], 'CRASHED'],
    ['the crashed instance is restarting', {}, [{ status: 'STARTING', crashes: 1 }], 'CRASHED'],
    ['the instance was lost with its machine', {}, [{ status: 'CRASHED', crashes: 0, observed: 'missing' }], 'STARTING'],
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
  it('returns more when all instances are busy, and less when the others can handle the load', () => {
    expect(scaleBy(19, 1)).toBe('same')
    expect(scaleBy(20, 1)).toBe('more')
    expect(scaleBy(39, 2)).toBe('same')
    expect(scaleBy(40, 2)).toBe('more')
    expect(scaleBy(19, 2)).toBe('less')
    expect(scaleBy(20, 2)).toBe('same')
    expect(scaleBy(0, 1)).toBe('same')
    expect(scaleBy(100, 0)).toBe('same')
  })

  it('never reverses its last change at the same load', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 20 }), (inFlight, running) => {
        const change = scaleBy(inFlight, running)
        if (change === 'more') expect(scaleBy(inFlight, running + 1)).not.toBe('less')
        if (change === 'less') expect(scaleBy(inFlight, running - 1)).not.toBe('more')
      }),
    )
  })
})

describe('restartDelayMs', () => {
  it('doubles with each consecutive crash, up to five minutes', () => {
    expect([1, 2, 3, 4].map((crashes) => restartDelayMs(crashes, 1_000))).toEqual([1_000, 2_000, 4_000, 8_000])
    expect(restartDelayMs(50, 1_000)).toBe(300_000)
  })
})
