/** The domain's words -> those of the bridge. */
import type { SpeedTestRow } from '../../domain/odoo/speed-test/index.ts'

export const testTypes = { LIGHT: 'light', HEAVY: 'heavy' } as const satisfies Record<SpeedTestRow['type'], string>

export const testStatuses = { SUCCEEDED: 'succeeded', FAILED: 'failed' } as const satisfies Record<SpeedTestRow['status'], string>
