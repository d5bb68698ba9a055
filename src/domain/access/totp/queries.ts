import { z } from 'zod'
import { defineQuery, demandPerson } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'

export type Profile = { id: string; email: string; name: string; createdAt: Date; version: number; totpEnabled: boolean }

export const findProfile = defineQuery({
  name: 'profile',
  description: 'User who is signed in, and whether the user needs a one-time password to sign in.',
  permission: null,
  ids: {},
  input: z.object({}),
  run: ({ tx, caller }): Promise<Profile | null> =>
    row(
      tx,
      sql`select u.id, u.email, u.name, u.created_at, u.version, (t.enabled_at is not null) as totp_enabled
          from user_account u left join totp t on t.user_id = u.id where u.id = ${demandPerson(caller)}::uuid`,
    ),
})
