import { z } from 'zod'
import { bridgeCallCommand } from '../../../domain/odoo/bridge-call/index.ts'
import { commandRow, type Route } from '../../core/index.ts'
import { callBody, succeeded } from '../bodies.ts'

/** Beyond the time of the call itself. */
const marginMs = 5_000

/** Enough for a write of thousands of records, which a spreadsheet sends at once. Parsing takes 1 to 5 ms, or 50 if every key is another. */
const maxJsonValues = 100_000

export const callRoutes: Route[] = [
  commandRow({
    id: 'call',
    method: 'POST',
    path: '/call',
    tag: 'Calls',
    summary: 'Call a method of Odoo',
    description:
      'Calls a method of a model, as `execute_kw` of Odoo does, through the Odoo account that the API key is bound to. `error` is the message of Odoo if Odoo refuses the call.',
    command: bridgeCallCommand,
    body: {
      model: { to: 'model', description: 'Model, such as `sale.order`.' },
      method: { to: 'method', description: 'Method of the model, such as `search_read`.' },
      args: { to: 'args', schema: z.array(z.unknown()).optional(), description: 'Positional arguments.' },
      kwargs: { to: 'kwargs', schema: z.record(z.string(), z.unknown()).optional(), description: 'Named arguments.' },
    },
    asksOutside: true,
    relays: true,
    maxJsonValues,
    timeoutMs: ({ ODOO_TIMEOUT_MS }) => ODOO_TIMEOUT_MS + marginMs,
    status: 200,
    schema: callBody.schema,
    reply: ({ data }) => succeeded(data),
  }),
]
