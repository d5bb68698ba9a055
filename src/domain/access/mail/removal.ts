import { run, sql } from '../../../platform/db/index.ts'
import type { OrganizationContents } from '../organization/index.ts'

const mailsPerStep = 1_000

/** Mail that has not been sent is dropped. */
export const mailsOfOrganization: OrganizationContents = {
  name: 'mails',
  phase: 'records',
  async remove({ tx, caller: { organizationId } }) {
    const some = sql`organization_id = ${organizationId}::uuid order by id limit ${mailsPerStep}`
    const removed = [
      await run(tx, sql`delete from mail where id in (select id from mail where ${some})`),
      await run(tx, sql`delete from outbox_mail where id in (select id from outbox_mail where ${some})`),
      await run(tx, sql`delete from mail_suppression where id in (select id from mail_suppression where ${some})`),
    ]
    return removed.includes(mailsPerStep) ? 'more' : 'done'
  },
}
