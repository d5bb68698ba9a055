import { sql } from '../../../platform/db/index.ts'
import { defineListing, ownPageQuery, type Reader } from '../../../platform/listing.ts'
import { maxKeys, type SshKeyRow } from './model.ts'

/** The caller's own keys. An API key sees none. */
export const sshKeyListing = defineListing<'SshKey', Record<never, never>, SshKeyRow>({
  type: 'SshKey',
  noun: 'SSH key',
  permission: 'view:members',
  order: 'oldest_first',
  nameColumn: 'label',
  audited: ['label', 'keyType', 'fingerprint'],
  omit: ['privateKey'],
  computed: { hasPrivateKey: () => sql`(t.private_key is not null)` },
  visible: ({ subject, userId }) => (subject.type === 'user' ? sql`t.user_id = ${userId}::uuid` : sql`false`),
})

export const pageSshKeys = ownPageQuery(sshKeyListing)

/** Keys of many users in one statement, oldest first. Not scoped. */
export const keysByUser = (reader: Reader, userIds: readonly string[]): Promise<SshKeyRow[][]> =>
  sshKeyListing.readBelow(reader, { parent: 'userId', parentIds: userIds, orderBy: sql`t.id`, limit: maxKeys })
