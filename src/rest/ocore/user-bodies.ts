/** Schemas of the bodies of the account of a person, and how rows become bodies. */
import { z } from 'zod'
import type { Profile } from '../../domain/access/totp/index.ts'
import type { Named } from '../core/index.ts'
import { id, time, timeOf } from './field.ts'

const user = z
  .object({
    id,
    email: z.string(),
    name: z.string(),
    totpEnabled: z.boolean().describe('Whether a one-time password is needed to sign in.'),
    createdAt: time,
  })
  .describe('The user who is signed in.')

export const userSchemas = { user }

export const userBodies: Named[] = [{ id: 'User', schema: user }]

export const userBody = ({ id, email, name, totpEnabled, createdAt }: Profile): z.output<typeof user> => ({
  ...{ id, email, name, totpEnabled, createdAt: timeOf(createdAt) },
})
