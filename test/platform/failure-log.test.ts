/** How failures that the program survives are logged. */
import { expect, it } from 'vitest'
import { DatabaseOutage, outageOf } from '../../src/platform/db/index.ts'
import { createFailureLog, reportFailure } from '../../src/platform/failure-log.ts'
import type { App } from '../../src/platform/work.ts'

function world() {
  const lines: unknown[][] = []
  const write = (level: string) => (fields: object, message: string) => lines.push([level, message, fields])
  const log = { info: write('info'), warn: write('warn'), error: write('error') }
  return { lines, app: { log, db: { outages: { note: outageOf } } } as unknown as App }
}

const err = new Error('what failed')

it('a repeated failure is logged when it begins and when it is over, with its number', () => {
  const { app, lines } = world()
  const log = createFailureLog(app, { failed: 'it fails', recovered: 'it succeeds again' })
  log.succeeded()
  for (let failures = 0; failures < 3; failures++) expect(log.failed(err, { of: 'one' })).toBeNull()
  log.succeeded()
  log.succeeded()
  expect(lines).toEqual([
    ['error', 'it fails', { err, of: 'one' }],
    ['info', 'it succeeds again', { of: 'one', failures: 3, afterMs: expect.any(Number) }],
  ])
  log.failed(err)
  expect(lines).toHaveLength(3)
})

it('each of several things begins and ends by itself', () => {
  const { app, lines } = world()
  const log = createFailureLog(app, { failed: 'it fails', recovered: 'it succeeds again' }, 'warn')
  log.failed(err, { of: 'one' }, 'one')
  log.failed(err, { of: 'two' }, 'two')
  log.succeeded('two')
  log.failed(err, { of: 'one' }, 'one')
  expect(lines.map(([level, message, fields]) => [level, message, (fields as { of: string }).of])).toEqual([
    ['warn', 'it fails', 'one'],
    ['warn', 'it fails', 'two'],
    ['info', 'it succeeds again', 'two'],
  ])
})

it('an outage is not logged here, counts as no failure, and is named to the caller', () => {
  const { app, lines } = world()
  const log = createFailureLog(app, { failed: 'it fails', recovered: 'it succeeds again' })
  const outage = new DatabaseOutage('no response in time')
  expect(log.failed(outage)).toBe('database')
  log.succeeded()
  expect(reportFailure(app, outage, 'it failed')).toBe('database')
  expect(lines).toEqual([])
})

it('a failure of what is not repeated is logged with its fields, at the level asked for', () => {
  const { app, lines } = world()
  expect(reportFailure(app, err, 'it failed', { of: 'one' })).toBeNull()
  expect(reportFailure(app, err, 'it failed', {}, 'warn')).toBeNull()
  expect(lines).toEqual([
    ['error', 'it failed', { err, of: 'one' }],
    ['warn', 'it failed', { err }],
  ])
})
