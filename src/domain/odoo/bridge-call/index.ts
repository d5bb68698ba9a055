/** The Odoo bridge: keys that are bound to an Odoo account, and the calls that are made with them. */
import { defineConcept } from '../../../platform/concept.ts'
import { keyBindings } from '../../access/api-key/index.ts'
import { organizationContents, rowsOfAccess } from '../../access/organization/index.ts'
import { bridgeKeyBinding, reactions } from './key.ts'

export const bridgeCall = defineConcept({
  name: 'bridge-call',
  reactions,
  extensions: [keyBindings.with(bridgeKeyBinding), organizationContents.with(rowsOfAccess('keys of the Odoo bridge', ['bridge_key']))],
})
