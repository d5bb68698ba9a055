/** The platform's own declarations, in the form of a concept: the first in `src/domain/index.ts`. */
import { countRefusals } from './audit-refusal.ts'
import { defineConcept } from './concept.ts'
import { check, type Statement } from './db/constraints.ts'
import { errors } from './errors.ts'
import { eventErrors } from './events.ts'
import { expireIdempotencyKeys } from './idempotency.ts'
import { expireRateLimits } from './rate-limit/expire.ts'
import { rotateDataKeys } from './reseal.ts'
import { slugErrors } from './slug.ts'

const constraints: Statement[] = [
  {
    name: 'audit_entry_append_only',
    // Only the sequencer may update a row, once, to set its position and hash. The rest is compared as stored (`*=`): that takes 1 µs, and a
    // comparison as JSON 20 µs for each entry. Only entries that the chain records as removed may be deleted, and
    // those of an organization that is being deleted.
    create: `CREATE OR REPLACE FUNCTION audit_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  entry audit_entry := NEW;
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL THEN
    entry.position := OLD.position;
    entry.hash := OLD.hash;
    IF entry *= OLD THEN
      RETURN NEW;
    END IF;
  END IF;
  IF TG_OP = 'DELETE' AND (
    OLD.position <= (SELECT removed_position FROM audit_chain WHERE organization_id = OLD.organization_id)
    OR EXISTS (SELECT 1 FROM organization WHERE id = OLD.organization_id AND deleting_at IS NOT NULL)) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'audit entries are append-only';
END $$;`,
    drop: 'DROP FUNCTION audit_entry_append_only();',
  },
  {
    name: 'audit_entry_guard',
    create:
      'CREATE TRIGGER audit_entry_guard BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_append_only();',
    drop: 'DROP TRIGGER audit_entry_guard ON audit_entry;',
  },
  {
    name: 'sequencer_row',
    create: 'INSERT INTO sequencer (id, event_position) VALUES (1, 0) ON CONFLICT DO NOTHING;',
    drop: 'DELETE FROM sequencer;',
  },
  check('sequencer', 'single', 'id = 1'),
  {
    name: 'rate_limit_unlogged',
    // Written every second, and worth nothing after a minute.
    create: 'ALTER TABLE rate_limit SET UNLOGGED;',
    drop: 'ALTER TABLE rate_limit SET LOGGED;',
  },
]

declare module './id.ts' {
  interface IdPrefixes {
    /** An event, and the webhook message that carries it. */
    WebhookMessage: 'evt'
  }
}

export const foundation = defineConcept({
  name: 'platform',
  idPrefixes: { WebhookMessage: 'evt' },
  errors: [errors, eventErrors, slugErrors],
  chores: [expireIdempotencyKeys, rotateDataKeys, countRefusals, expireRateLimits],
  constraints,
})
