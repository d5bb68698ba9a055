/** Sends webhooks to addresses that this process cannot reach, and prints the outcomes. Run in a network namespace of its own. */
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'

let uncaught = 0
process.on('uncaughtException', () => uncaught++)

const addresses = ['198.51.100.1', '198.51.101.1', '198.51.102.1', '203.0.113.1', '2001:db8:1::1', '2001:db8:2::1']
const names = new Map([
  ...addresses.slice(0, 4).map((address, n): [string, string[]] => [`name-${n}.test`, [address]]),
  ['ipv6.test', ['2001:db8:2::1']],
  ['both.test', ['2001:db8:2::1', '203.0.113.1']],
])
const guard = createEgressGuard({
  allow: ['0.0.0.0/0', '::/0'],
  lookup: async (name) => (names.get(name) ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
})
const http = createHttpOutgoing({ guard })
const outcomes: Record<string, string> = {}
const hosts = [...addresses.slice(0, 4), ...names.keys()]
for (const url of hosts.flatMap((host) => [`http://${host}:9/`, `https://${host}:9/`])) {
  try {
    const result = await http.post({ url, headers: {}, body: Buffer.from('{}'), timeoutMs: 5_000, maxResponseBytes: 100 })
    outcomes[url] = JSON.stringify(result)
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    outcomes[url] = `${code} ${message}`
  }
}
await http.close()
await new Promise((resolve) => setImmediate(resolve))
process.stdout.write(JSON.stringify({ uncaught, outcomes }))
