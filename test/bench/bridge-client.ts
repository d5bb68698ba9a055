/** The other side of the bridge scenario, in a process of its own: a stand-in Odoo, and a client that calls it directly and through the bridge. */
import { Agent, request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { startOdoo } from '../support/odoo.ts'

/** Sent by the scenario. `direct` and `bridge` measure a number of calls, one after the other. */
export type Order = { do: 'direct' | 'bridge'; calls: number; url: string; key: string }
/** `url` is sent first, then the durations of each order in milliseconds. */
export type Report = { url: string } | { durations: number[] }

const odoo = await startOdoo({ orders: 25 })
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
const call = { model: 'sale.order', method: 'search_read', args: [[]], kwargs: { limit: 25, fields: ['name', 'state', 'amount_total'] } }
const rpc = (args: unknown[]) => ({ jsonrpc: '2.0', method: 'call', id: 1, params: { service: 'object', method: 'execute_kw', args } })
const directBody = JSON.stringify(rpc([odoo.database, 2, odoo.password, call.model, call.method, call.args, call.kwargs]))
const bridgeBody = JSON.stringify(call)

async function post(url: string, headers: Record<string, string>, body: string): Promise<number> {
  const startedAt = performance.now()
  const length = await new Promise<number>((resolve, reject) => {
    request(url, { agent, method: 'POST', headers: { 'content-type': 'application/json', ...headers } }, (response) =>
      buffer(response).then((read) => resolve(response.statusCode === 200 ? read.length : 0), reject),
    )
      .on('error', reject)
      .end(body)
  })
  if (length < 1_000) throw new Error(`${url} did not answer with the orders`)
  return performance.now() - startedAt
}

process.on('message', async (order: Order) => {
  const durations: number[] = []
  for (let n = 0; n < order.calls; n++)
    durations.push(
      order.do === 'direct'
        ? await post(`${odoo.url}/jsonrpc`, {}, directBody)
        : await post(`${order.url}/call`, { 'x-api-key': order.key }, bridgeBody),
    )
  process.send!({ durations } satisfies Report)
})
process.on('disconnect', () => process.exit())
process.send!({ url: odoo.url } satisfies Report)
