import { z } from 'zod'
import { defineQuery, demandPerson } from '../../../platform/command.ts'
import { sql } from '../../../platform/db/index.ts'
import { defineListing, ownPageQuery } from '../../../platform/listing.ts'
import type { ShownSession } from './model.ts'

/** The sessions of the user who is signed in. */
export const sessionListing = defineListing<'Session', Record<never, never>, ShownSession>({
  type: 'Session',
  noun: 'session',
  permission: 'view:members',
  order: 'newest_first',
  nameColumn: 'userAgent',
  omit: ['tokenHash', 'formerTokenHash', 'formerSalt'],
  audited: ['ipAddress', 'userAgent', 'lastUsedAt'],
  visible: ({ subject, userId }) => (subject.type === 'user' ? sql`t.user_id = ${userId}::uuid and t.expires_at > app_now()` : sql`false`),
})

export const pageSessions = ownPageQuery(sessionListing)

const mostSessions = 500

export const listSessions = defineQuery({
  name: 'sessions',
  description: 'Sessions of the user who is signed in, newest first: the devices on which the user is signed in.',
  permission: null,
  ids: {},
  input: z.object({}),
  run(read) {
    const userId = demandPerson(read.caller)
    return sessionListing.read(read, sql`t.user_id = ${userId}::uuid and t.expires_at > app_now() order by t.id desc limit ${mostSessions}`)
  },
})
