import { z } from 'zod'
import type { Operation } from '../../../generated/prisma/client.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'

export const findOperation = defineQuery({
  name: 'operation',
  description: 'Operation with the given ID. Null if it does not exist.',
  permission: 'view:organization',
  ids: { id: 'Operation' },
  input: z.object({ id: z.string() }),
  run: (read, { id }) =>
    row<Operation>(read.tx, sql`select t.* from operation t where t.id = ${id}::uuid and ${visible(read.caller, sql`t`)}`),
})
