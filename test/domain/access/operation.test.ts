import { parse, subscribe } from 'graphql'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { cancelOperation } from '../../../src/domain/access/operation/commands.ts'
import { findOperation, operationTypes, startOperation } from '../../../src/domain/access/operation/index.ts'
import { operationQueue } from '../../../src/domain/access/operation/jobs.ts'
import { createGraphqlContext } from '../../../src/graphql/context.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { type Jobs, startJobs } from '../../../src/jobs/index.ts'
import { type Caller, systemCaller } from '../../../src/platform/access.ts'
import { ask, execute } from '../../../src/platform/command.ts'
import { defineConcept } from '../../../src/platform/concept.ts'
import { run, sql } from '../../../src/platform/db/index.ts'
import { DomainError } from '../../../src/platform/errors.ts'
import { encodeId, newId } from '../../../src/platform/id.ts'
import { transact } from '../../../src/platform/work.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import { until } from '../../support/wait.ts'

let stepsMade = 0
let faults = 0
let cancelling = false

const counting = defineConcept({
  name: 'counting',
  extensions: [
    operationTypes.with({
      type: 'countUp',
      async run(_work, operation) {
        const { to } = operation.input as { to: number }
        const done = ((operation.progress as { n: number } | null)?.n ?? 0) + 1
        stepsMade++
        return { stepsCompleted: done, totalSteps: to, progress: { n: done }, next: done === to ? 'done' : 1 }
      },
    }),
    operationTypes.with({
      type: 'wait',
      run: async () => ({
        stepsCompleted: 1,
        totalSteps: 3,
        currentStep: 'Waiting',
        progress: null,
        next: cancelling ? 'cancelled' : 10,
      }),
      cancel: {
        permission: 'deploy:web_services',
        async run(_work, { input }) {
          const { outcome } = input as { outcome: 'cancelled' | 'cancelling' | 'too late' }
          cancelling = outcome === 'cancelling'
          return outcome
        },
      },
    }),
    operationTypes.with({
      type: 'refuse',
      async run() {
        throw new DomainError('not_found', 'not_found', 'The thing is gone.')
      },
    }),
    operationTypes.with({
      type: 'faultOnce',
      async run(work, operation) {
        await run(work.tx, sql`update operation set total_steps = 99 where id = ${operation.id}::uuid`)
        if (faults++ === 0) throw new Error('a bug')
        return { stepsCompleted: 1, totalSteps: 1, progress: null, next: 'done' }
      },
    }),
  ],
})

let database: TestDatabase
let app: TestApp
let caller: Caller
let jobs: Jobs[]

beforeEach(async () => {
  database = await createTestDatabase()
  app = await createTestApp(database.url, { WORKER_LEASE_MS: '2000' }, [counting])
  caller = systemCaller(newId())
  await run(app.db, sql`insert into organization (id, name, slug) values (${caller.organizationId}::uuid, 'Acme', ${newId()})`)
  jobs = []
  stepsMade = 0
  faults = 0
  cancelling = false
})
afterEach(async () => {
  for (const each of jobs) await each.stop({ graceMs: 0 })
  await app.close()
  await database.drop()
})

const work = (worker: string) => {
  const started = startJobs(app, { queues: [operationQueue], chores: [], worker })
  jobs.push(started)
  return started
}
const begin = (type: string, input = {}) =>
  transact(app, caller, { emits: app.domain.eventTypes.all }, (unit) =>
    startOperation(unit, { type, projectId: null, input, totalSteps: null }),
  )
const read = (id: string, as = caller) => ask({ app, caller: as, requestId: 'test' }, findOperation, { id })
const ended = (id: string) =>
  until('it ends', async () => {
    const operation = await read(id)
    return operation?.finishedAt ? operation : null
  })

it('steps run one after the other until the last, and progress is reported', async () => {
  const { id, status } = await begin('countUp', { to: 5 })
  expect(status).toBe('QUEUED')
  work('one')
  expect(await ended(id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 5, totalSteps: 5, error: null, startedAt: expect.any(Date) })
  expect(stepsMade).toBe(5)
})

it('another worker continues where the last one stopped, and no step runs twice', async () => {
  const { id } = await begin('countUp', { to: 60 })
  const first = work('one')
  await until('some steps are made', async () => ((await read(id))?.stepsCompleted ?? 0) >= 3)
  await first.stop({ graceMs: 0 })
  work('two')
  expect(await ended(id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 60 })
  expect(stepsMade).toBe(60)
})

it('two workers share the queue and run each step once', async () => {
  work('one')
  work('two')
  const started = await Promise.all([begin('countUp', { to: 20 }), begin('countUp', { to: 20 }), begin('countUp', { to: 20 })])
  for (const { id } of started) expect(await ended(id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 20 })
  expect(stepsMade).toBe(60)
})

it('a DomainError fails the operation with its text', async () => {
  const { id } = await begin('refuse')
  work('one')
  expect(await ended(id)).toMatchObject({ status: 'FAILED', error: 'The thing is gone.' })
})

it('a step that fails unexpectedly is rolled back and retried', async () => {
  const { id } = await begin('faultOnce')
  work('one')
  expect(await ended(id)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 1, totalSteps: 1 })
  expect(faults).toBe(2)
})

it('an operation that three processes in a row died with fails with the reason, without running a step', async () => {
  const { id } = await begin('countUp', { to: 5 })
  for (let n = 0; n < 3; n++)
    await until('the lease before is over', async () => (await operationQueue.claim(app, `dead ${n}`, 1, [])).items.length === 1)
  work('heir')
  expect(await ended(id)).toMatchObject({ status: 'FAILED', error: expect.stringMatching(/^The last 3 processes/) })
  expect(stepsMade).toBe(0)
})

it("another organization's operation is not found; an operation of an unknown type cannot be started", async () => {
  const { id } = await begin('countUp', { to: 1 })
  expect(await read(id, systemCaller(newId()))).toBeNull()
  await expect(begin('nothing')).rejects.toThrow('no operation')
})

const cancel = (id: string, as = caller) => execute({ app, caller: as, requestId: 'test' }, cancelOperation, { id })

it('a cancelled operation ends at once, or when its work has ended', async () => {
  const waiting = await begin('wait', { outcome: 'cancelled' })
  expect((await cancel(waiting.id)).operation).toMatchObject({ status: 'CANCELLED', finishedAt: expect.any(Date), error: null })
  const { id } = await begin('wait', { outcome: 'cancelling' })
  const states = statesOf(id, () => work('one'))
  await until('it runs', async () => (await read(id))?.currentStep === 'Waiting')
  expect((await cancel(id)).operation).toMatchObject({ status: 'RUNNING', stepsCompleted: 1, totalSteps: 3 })
  const seen = (await states).map(({ status, currentStep, progressPercent }) => [status, currentStep, progressPercent])
  expect(seen[0]).toEqual(['QUEUED', null, null])
  expect(seen).toContainEqual(['RUNNING', 'Waiting', 33])
  expect(seen.at(-1)).toEqual(['CANCELLED', null, 33])
  expect(await read(waiting.id)).toMatchObject({ status: 'CANCELLED', stepsCompleted: 0 })
})

it('an operation that has ended, cannot be cancelled or is too far cannot be cancelled, nor by a caller who could not have started it', async () => {
  const done = await begin('wait', { outcome: 'cancelled' })
  await cancel(done.id)
  await expect(cancel(done.id)).rejects.toMatchObject({ code: 'operation_not_cancellable', kind: 'conflict' })
  const late = await begin('wait', { outcome: 'too late' })
  await expect(cancel(late.id)).rejects.toMatchObject({ code: 'operation_not_cancellable' })
  const counted = await begin('countUp', { to: 1 })
  await expect(cancel(counted.id)).rejects.toMatchObject({ code: 'operation_not_cancellable' })
  const reader = { ...caller, permissions: new Set([...caller.permissions].filter((name) => name !== 'deploy:web_services')) }
  await expect(cancel(late.id, reader)).rejects.toMatchObject({ code: 'forbidden' })
  await expect(cancel(late.id, systemCaller(newId()))).rejects.toMatchObject({ code: 'not_found' })
  expect(await read(late.id)).toMatchObject({ status: 'QUEUED' })
})

async function follow(id: string, as = caller) {
  const document = parse(
    'subscription ($id: ID!) { operationUpdated(id: $id) { status stepsCompleted totalSteps currentStep progressPercent error } }',
  )
  const contextValue = createGraphqlContext({ app, caller: as, requestId: 'test' })
  return subscribe({ schema, document, variableValues: { id: encodeId('Operation', id) }, contextValue })
}

type State = {
  status: string
  stepsCompleted: number
  currentStep: string | null
  progressPercent: number | null
  error: string | null
}

async function statesOf(id: string, onFirst: () => void): Promise<State[]> {
  const states = await follow(id)
  if (!(Symbol.asyncIterator in states)) throw new Error(JSON.stringify(states))
  const seen: State[] = []
  for await (const { data } of states) {
    seen.push((data as { operationUpdated: State }).operationUpdated)
    if (seen.length === 1) onFirst()
  }
  return seen
}

it('a subscription returns the current state, then each change, and completes when the operation has ended', async () => {
  const { id } = await begin('countUp', { to: 3 })
  const states = await statesOf(id, () => work('one'))
  expect(states[0]).toMatchObject({ status: 'QUEUED', stepsCompleted: 0 })
  expect(states.at(-1)).toMatchObject({ status: 'COMPLETED', stepsCompleted: 3 })
  const steps = states.map(({ stepsCompleted }) => stepsCompleted)
  expect(steps).toEqual(steps.toSorted((a, b) => a - b))
  const refused = await begin('refuse')
  expect((await statesOf(refused.id, () => {})).at(-1)).toMatchObject({ status: 'FAILED', error: 'The thing is gone.' })
  expect(await statesOf(id, () => {})).toHaveLength(1)
})

it("a subscription to another organization's operation is refused as not found", async () => {
  const { id } = await begin('countUp', { to: 1 })
  const states = (await follow(id, systemCaller(newId()))) as AsyncGenerator
  await expect(states.next()).rejects.toMatchObject({ code: 'not_found', field: 'id' })
})
