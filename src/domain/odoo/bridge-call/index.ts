/** The Odoo bridge: keys that are bound to an Odoo account, the calls that are made with them, and records of these. */
import { defineConcept } from '../../../platform/concept.ts'
import { keyBindings } from '../../access/api-key/index.ts'
import { organizationContents, rowsOfAccess } from '../../access/organization/index.ts'
import { bridgeCallCommand, callOdoo } from './commands.ts'
import { bridgeErrors } from './errors.ts'
import { bridgeKeyBinding, reactions } from './key.ts'
import { bridgeCallListing, countBridgeCalls, listBridgeCalls } from './queries.ts'
import { callsOfOrganization, expireBridgeCalls } from './retention.ts'

export { bridgeCallCommand } from './commands.ts'
export { odooCalls } from './metrics.ts'
export { flushCallRecords } from './record.ts'

declare module '../../../platform/id.ts' {
  interface IdPrefixes {
    BridgeCall: 'call'
  }
}

export const bridgeCall = defineConcept({
  name: 'bridge-call',
  idPrefixes: { BridgeCall: 'call' },
  nodes: [bridgeCallListing],
  commands: [bridgeCallCommand, callOdoo],
  queries: [listBridgeCalls, countBridgeCalls],
  errors: [bridgeErrors],
  reactions,
  chores: [expireBridgeCalls],
  extensions: [
    keyBindings.with(bridgeKeyBinding),
    organizationContents.with(callsOfOrganization),
    organizationContents.with(rowsOfAccess('keys of the Odoo bridge', ['bridge_key'])),
  ],
})
