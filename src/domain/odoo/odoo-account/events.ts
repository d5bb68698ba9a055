import { z } from 'zod'
import type { OdooAccount } from '../../../generated/prisma/client.ts'
import { defineEvent } from '../../../platform/events.ts'
import { encodeId } from '../../../platform/id.ts'

const payload = z.object({
  odooAccountId: z.string().describe('ID of the Odoo account.'),
  name: z.string().describe('Name of the Odoo account.'),
  url: z.string().describe('Address of the Odoo server.'),
  database: z.string().describe('Name of the database.'),
})
const sample = { odooAccountId: 'odoo_01h455vb4pex5vsknk084sn02q', name: 'ERP', url: 'https://erp.example.com', database: 'acme' }

const accountEvent = (name: string, description: string) =>
  defineEvent({ type: `odoo_account.${name}`, version: 1, description, subject: 'OdooAccount', schema: payload, sample })

export const odooAccountCreated = accountEvent('created', 'An Odoo account was created.')
export const odooAccountUpdated = accountEvent('updated', 'The settings of an Odoo account changed.')
export const odooAccountDeleted = accountEvent('deleted', 'An Odoo account was deleted.')

export const accountEventOf = ({ id, name, url, database }: Pick<OdooAccount, 'id' | 'name' | 'url' | 'database'>) => ({
  subjectId: id,
  projectId: null,
  data: { odooAccountId: encodeId('OdooAccount', id), name, url, database },
})
