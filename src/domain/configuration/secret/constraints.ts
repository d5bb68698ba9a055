import { check, type Statement, stamped } from '../../../platform/db/constraints.ts'

export const constraints: Statement[] = [
  ...stamped('secret'),
  {
    name: 'secret_version_immutable',
    // A value may be sealed again, and a version be revoked once; nothing else changes.
    create: `CREATE OR REPLACE FUNCTION secret_version_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF to_jsonb(NEW) - 'value' - 'revoked_at' = to_jsonb(OLD) - 'value' - 'revoked_at'
     AND (OLD.revoked_at IS NULL OR NEW.revoked_at = OLD.revoked_at) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'versions of a secret are immutable';
END $$;`,
    drop: 'DROP FUNCTION secret_version_immutable();',
  },
  {
    name: 'secret_version_guard',
    create: 'CREATE TRIGGER secret_version_guard BEFORE UPDATE ON secret_version FOR EACH ROW EXECUTE FUNCTION secret_version_immutable();',
    drop: 'DROP TRIGGER secret_version_guard ON secret_version;',
  },
  check('secret', 'key', "key ~ '^[A-Za-z_][A-Za-z0-9_]*$'"),
]
