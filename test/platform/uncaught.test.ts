import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const source = (path: string) => JSON.stringify(join(import.meta.dirname, '../../src/platform', path))

/** Runs `what` in a process with `catchUncaught`, which then prints that it is alive. Returns its exit code, output and log. */
async function runUnderNet(what: string) {
  const script = `
    import { EventEmitter } from 'node:events'
    import { connect } from 'node:net'
    import { spawn } from 'node:child_process'
    import { createReadStream } from 'node:fs'
    import pg from 'pg'
    import { createLogger } from ${source('log.ts')}
    import { catchUncaught, restartExitCode, uncaughtErrors } from ${source('uncaught.ts')}
    const log = createLogger('info', process.stderr)
    catchUncaught(log, () => { console.log('drained'); process.exit(restartExitCode) })
    let told = false
    const tell = async () => {
      if (told) return
      told = true
      const { values } = await uncaughtErrors.get()
      console.log('lives', ...values.map(({ labels, value }) => labels.kind + ' ' + value))
      process.exit(0)
    }
    ${what}
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      if ((await uncaughtErrors.get()).values.length > 0) break
    }
    setImmediate(tell)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { stdout: '', stderr: '' }
  child.stdout.on('data', (bytes) => {
    printed.stdout += bytes
  })
  child.stderr.on('data', (bytes) => {
    printed.stderr += bytes
  })
  const [code] = await once(child, 'close')
  return { code, printed: printed.stdout.trim(), log: printed.stderr }
}

describe('with the handlers of uncaught errors', () => {
  it.each([
    ['a socket', `connect(1, '127.0.0.1')`],
    ['a child process', `spawn('/no/such/program')`],
    ['a stream', `createReadStream('/no/such/file')`],
    ['a client of the database', `new pg.Client({ connectionString: 'postgresql://127.0.0.1:1/x' }).connect()`],
    [
      'an emitter that fails later',
      `setImmediate(() => new EventEmitter().emit('error', Object.assign(new Error('reset'), { code: 'ECONNRESET' })))`,
    ],
    ['an aborted wait', `setImmediate(() => { throw new DOMException('over', 'AbortError') })`],
  ])('an unhandled error of %s is logged and counted, and the process continues', async (_what, script) => {
    const { code, printed, log } = await runUnderNet(script)
    expect([code, printed]).toEqual([0, 'lives outside 1'])
    expect(log).toContain('The process continues.')
  })

  it('so is an unhandled rejection with any reason', async () => {
    const { code, printed, log } = await runUnderNet(`void Promise.reject(new TypeError('no function'))`)
    expect([code, printed]).toEqual([0, 'lives rejection 1'])
    expect(log).toContain('no function')
  })

  it.each([
    ['a wrong call', `setImmediate(() => undefined.x)`],
    ['an error without a code', `setImmediate(() => { throw new Error('a rule is broken') })`],
    ['a wrong argument for Node', `setImmediate(() => Buffer.alloc('x'))`],
  ])('%s makes the process drain and exit with the code for a restart', async (_what, script) => {
    const { code, printed, log } = await runUnderNet(script)
    expect([code, printed]).toEqual([75, 'drained'])
    expect(log).toContain('"level":60')
  })
})
