/** The mail that an invited person receives. */
import { row, sql } from '../../../platform/db/index.ts'
import type { App, Work } from '../../../platform/work.ts'
import { apiEndpoint, queuePlatformMail } from '../mail/index.ts'
import type { InvitationRow } from './model.ts'

/** The token is in the fragment, which browsers send to no server and which is in no log. */
export const linkOf = (app: App, token: string): string => `${apiEndpoint.use(app).url}/login#invitation=${token}`

export async function sendInvitation(
  work: Work,
  { id, organizationId, email, invitedBy, expiresAt }: InvitationRow,
  { link, roleName }: { link: string; roleName: string },
): Promise<void> {
  const { name } = (await row<{ name: string }>(work.tx, sql`select name from organization where id = ${organizationId}::uuid`))!
  // Names may contain separators that are no control characters and would end a line of a header.
  const organization = name.replaceAll(/\s+/g, ' ')
  await queuePlatformMail(work, {
    ...{ organizationId, purpose: 'invitation', ref: id, to: [email] },
    subject: `Invitation to ${organization} on Quayside`,
    body: {
      paragraphs: [
        `${invitedBy} invites you to the organization "${organization}" on Quayside, with the role ${roleName}. To accept, open this link:`,
        link,
        `The link can be used once, until ${expiresAt.toISOString()}, and only by you: do not forward it. If you did not expect this mail, ignore it.`,
      ],
    },
  })
}
