import { sql } from '../../../platform/db/index.ts'
import { defineListing, ownPageQuery, type Reader } from '../../../platform/listing.ts'
import { maxPasskeys, type PasskeyRow } from './model.ts'

/** The caller's own passkeys. An API key sees none. */
export const passkeyListing = defineListing<'Passkey', Record<never, never>, PasskeyRow>({
  type: 'Passkey',
  noun: 'passkey',
  permission: 'view:members',
  order: 'oldest_first',
  audited: ['name'],
  omit: ['credentialId', 'publicKey', 'counter'],
  visible: ({ subject, userId }) => (subject.type === 'user' ? sql`t.user_id = ${userId}::uuid` : sql`false`),
})

export const pagePasskeys = ownPageQuery(passkeyListing)

/** Passkeys of many users in one statement, oldest first. Not scoped. */
export const passkeysByUser = (reader: Reader, userIds: readonly string[]): Promise<PasskeyRow[][]> =>
  passkeyListing.readBelow(reader, { parent: 'userId', parentIds: userIds, orderBy: sql`t.id`, limit: maxPasskeys })
