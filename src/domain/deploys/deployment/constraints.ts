import { check, clearedReference, type Statement, stamped } from '../../../platform/db/constraints.ts'
import { routeChange } from '../instance/index.ts'

export const constraints: Statement[] = [
  ...stamped('deployment'),
  clearedReference('deployment', 'restores_id', 'deployment'),
  routeChange(
    'deployment',
    'web_service_id',
    'UPDATE',
    '(OLD.status, OLD.leaves_stopped) IS DISTINCT FROM (NEW.status, NEW.leaves_stopped)',
  ),
  check('deployment', 'live_release', "status <> 'LIVE' OR (release_digest IS NOT NULL AND live_at IS NOT NULL)"),
  check(
    'deployment',
    'failure',
    "status <> 'FAILED' OR (failure_phase IS NOT NULL AND failure_code IS NOT NULL AND failure_message IS NOT NULL)",
  ),
  check('deployment', 'finished', "status NOT IN ('FAILED', 'CANCELLED', 'SKIPPED', 'SUPERSEDED') OR finished_at IS NOT NULL"),
]
