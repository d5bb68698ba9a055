import { z } from 'zod'
import type { User } from '../../../generated/prisma/client.ts'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { nameSchema } from '../../../platform/name.ts'

type ShownUser = Pick<User, 'id' | 'email' | 'name' | 'version' | 'createdAt' | 'updatedAt'>

/** Without the hash of the password, because the result of a command may be stored. */
const shown = sql`id, email, name, version, created_at, updated_at`

export const updateViewer = defineCommand({
  name: 'updateViewer',
  description: 'Updates the user who is signed in. Fields that are omitted keep their values.',
  permission: null,
  ids: {},
  targetType: 'User',
  target: (work) =>
    row<ShownUser>(work.tx, sql`select ${shown} from user_account where id = ${demandPerson(work.caller)}::uuid for no key update`),
  input: z.object({ name: nameSchema.nullish() }),
  emits: [],
  async run(work, input, target: ShownUser) {
    const name = input.name ?? target.name
    if (name === target.name) return { user: target }
    const user = await row<ShownUser>(
      work.tx,
      sql`update user_account set name = ${name}, version = version + 1 where id = ${target.id}::uuid returning ${shown}`,
    )
    work.wake('credentials')
    return { user: user! }
  },
})
