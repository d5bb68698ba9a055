/** Addresses that an organization sends no mail to. */
import { z } from 'zod'
import type { MailSuppression, MailSuppressionReason } from '../../../generated/prisma/client.ts'
import { defineCommand, ofOrganization } from '../../../platform/command.ts'
import { newRow, row, rows, run, sql, type Tx } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import { countQuery, defineListing, listQuery } from '../../../platform/listing.ts'

export const suppressionListing = defineListing({
  type: 'MailSuppression',
  noun: 'suppressed address',
  description: 'Suppressed addresses of the organization, newest first.',
  permission: 'view:email',
  order: 'newest_first',
  nameColumn: 'address',
  audited: ['address', 'reason'],
  visible: (caller) => ofOrganization(caller, sql`t`),
  filter: { address: z.string().nullish() },
  where: ({ address }) => (address ? [sql`t.address = ${address.toLowerCase()}`] : []),
})

export const listSuppressions = listQuery(suppressionListing)
export const countSuppressions = countQuery(suppressionListing)

export const removeSuppression = defineCommand({
  name: 'removeMailSuppression',
  description: 'Removes an address from the suppression list, so that mail is sent to it again.',
  permission: 'manage:email',
  ids: { id: 'MailSuppression' },
  targetType: 'MailSuppression',
  target: (work, { id }) =>
    row<MailSuppression>(
      work.tx,
      sql`select * from mail_suppression t where id = ${id}::uuid and ${ofOrganization(work.caller, sql`t`)} for update`,
    ),
  input: z.object({ id: z.string() }),
  emits: [],
  async run(work, _input, target: MailSuppression) {
    await run(work.tx, sql`delete from mail_suppression where id = ${target.id}::uuid`)
    return { deletedId: target.id }
  },
})

/** Those of the addresses that an organization sends no mail to, in lower case, with the reason. */
export async function suppressedAmong(
  tx: Tx,
  organizationId: string,
  addresses: readonly string[],
): Promise<Map<string, MailSuppressionReason>> {
  const found = await rows<{ address: string; reason: MailSuppressionReason }>(
    tx,
    sql`select address, reason from mail_suppression
        where organization_id = ${organizationId}::uuid and address = any(${addresses.map((address) => address.toLowerCase())}::text[])`,
  )
  return new Map(found.map(({ address, reason }) => [address, reason]))
}

type NewSuppression = { organizationId: string; address: string; reason: MailSuppressionReason; detail: string | null }

/** A complaint replaces a bounce as the reason, and nothing replaces a complaint. */
export async function suppress(tx: Tx, { organizationId, address, reason, detail }: NewSuppression): Promise<void> {
  const fields = { id: newId(), organizationId, address: address.toLowerCase(), reason, detail }
  await run(
    tx,
    sql`insert into mail_suppression ${newRow(fields)} on conflict (organization_id, address)
        do update set reason = excluded.reason, detail = excluded.detail where excluded.reason = 'COMPLAINED' and mail_suppression.reason <> 'COMPLAINED'`,
  )
}
