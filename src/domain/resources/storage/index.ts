/** Object storage: the buckets of an organization and the keys for them. Objects and the S3 endpoint are later concepts and rooms. */
import { defineConcept } from '../../../platform/concept.ts'
import { check, stampedByVersion } from '../../../platform/db/constraints.ts'
import { storageErrors } from './errors.ts'
import { secretIdentity } from './model.ts'
import { storageEndpoint } from './ports.ts'

export { findBucket, findStorageKey, type ServedBucket, type SigningKey, touchStorageKey } from './access.ts'
export { storageErrors } from './errors.ts'
export type { CorsRule, StoragePermissions } from './model.ts'
export { type StorageEndpoint, storageEndpoint } from './ports.ts'
export { applyUsage, type Usage } from './usage.ts'

export const storage = defineConcept({
  name: 'storage',
  errors: [storageErrors],
  ports: [storageEndpoint],
  sealed: [{ table: 'storage_key', key: 'id', column: 'secret', identity: secretIdentity }],
  constraints: [
    stampedByVersion('bucket'),
    stampedByVersion('storage_key'),
    check('storage_tenant', 'used_bytes', 'used_bytes >= 0'),
    check('bucket', 'usage', 'size_bytes >= 0 AND object_count >= 0'),
    check('storage_key', 'kind', "(kind = 'CONNECTION') = (resource_binding_id IS NOT NULL)"),
  ],
})
