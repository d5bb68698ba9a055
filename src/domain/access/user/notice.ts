import type { Work } from '../../../platform/work.ts'
import { queuePlatformMail } from '../mail/index.ts'
import type { Account } from './account.ts'

/** Mails a user what has changed about how they sign in, so that they learn of it if it was somebody else. */
export const tellUser = (work: Work, { email, name }: Pick<Account, 'email' | 'name'>, change: string): Promise<unknown> =>
  queuePlatformMail(work, {
    organizationId: null,
    purpose: 'account_notice',
    to: [email],
    subject: 'Your Quayside account was changed',
    body: {
      paragraphs: [
        `Hello ${name},`,
        change,
        'If it was not you, replace your password on the sign-in page, and look at your passkeys there.',
      ],
    },
  })
