import { readFile } from 'node:fs/promises'
import type { OutgoingHttp } from '../../src/domain/webhooks/endpoint/ports.ts'
import { createHttpOutgoing } from '../../src/drivers/http/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'

/** Outgoing HTTP to servers of this machine, which trusts the authorities in a file. */
export async function createAcmeHttp(caFile?: string): Promise<OutgoingHttp> {
  const guard = createEgressGuard({ allow: ['127.0.0.0/8', '::1/128'] })
  return createHttpOutgoing({ guard, ...(caFile === undefined ? {} : { tls: { ca: await readFile(caFile, 'utf8') } }) })
}
