/** Addresses that cannot be connected to, with real sockets. A failure may be immediate, and must not end the process. */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'

const late: unknown[] = []
const note = (error: unknown) => late.push(error)
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** Outcome of a POST, including errors that nothing handled. */
async function outcome(url: string, names: Record<string, string[]> = {}) {
  const guard = createEgressGuard({
    allow: ['0.0.0.0/0', '::/0'],
    lookup: async (name) => (names[name] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  })
  const http = createHttpOutgoing({ guard })
  closers.push(() => http.close())
  process.on('uncaughtExceptionMonitor', note)
  try {
    const result = await http.post({ url, headers: {}, body: Buffer.from('{}'), timeoutMs: 10_000, maxResponseBytes: 100 })
    await new Promise((resolve) => setImmediate(resolve))
    return result.type === 'failure' ? result.errorClass : result.status
  } catch (error) {
    await new Promise((resolve) => setImmediate(resolve))
    return (error as { code?: string }).code
  } finally {
    process.off('uncaughtExceptionMonitor', note)
  }
}

describe.each(['http', 'https'])('over %s', (scheme) => {
  // The kernel refuses TCP to these addresses immediately, whatever the machine's routes.
  it.each([
    ['an address', '224.0.0.1', {}],
    ['the broadcast address', '255.255.255.255', {}],
    ['a name', 'hooks.test', { 'hooks.test': ['224.0.0.1'] }],
    ['a name of the broadcast address', 'hooks.test', { 'hooks.test': ['255.255.255.255'] }],
    ['a name of two', 'hooks.test', { 'hooks.test': ['224.0.0.1', '224.0.0.2'] }],
    ['a name with an IPv6 address only', 'hooks.test', { 'hooks.test': ['ff02::1'] }],
  ])('%s that cannot be connected to is a local fault, and no error is left unhandled', async (_what, host, names) => {
    expect(await outcome(`${scheme}://${host}:9/`, names)).toBe('NO_ROUTE')
    expect(late).toEqual([])
  })
})

/** Whether a child process can have its own network namespace here. */
const canUnshare = spawnSync('unshare', ['--user', '--map-root-user', '--net', 'true']).status === 0

describe.runIf(canUnshare)('on a machine whose routes deny connections', () => {
  it('every refusal of the kernel, immediate or later, is a local fault, and the process survives', () => {
    const routes = ['prohibit 198.51.100.0/24', 'blackhole 198.51.101.0/24', 'unreachable 198.51.102.0/24', 'prohibit 2001:db8:1::/48']
    const setUp = ['link set lo up', ...routes.map((route) => `route add ${route}`)].map((words) => `ip ${words}`).join('\n')
    const script = join(import.meta.dirname, '../support/no-route.ts')
    const output = execFileSync(
      'unshare',
      ['--user', '--map-root-user', '--net', 'sh', '-ec', `${setUp}\nexec "$0" "$1"`, process.execPath, script],
      {
        encoding: 'utf8',
      },
    )
    const report = JSON.parse(output) as { uncaught: number; outcomes: Record<string, string> }
    expect(report.uncaught).toBe(0)
    expect([...new Set(Object.values(report.outcomes).map((text) => text.replace(/^(\w+).*\((\w+)\)\.$/, '$1 $2')))].toSorted()).toEqual([
      'NO_ROUTE EACCES',
      'NO_ROUTE EHOSTUNREACH',
      'NO_ROUTE EINVAL',
      'NO_ROUTE ENETUNREACH',
    ])
    expect(Object.keys(report.outcomes)).toHaveLength(20)
  })
})
