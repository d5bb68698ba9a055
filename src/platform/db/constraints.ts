/**
 * What the Prisma schema can't express: functions, CHECKs, triggers, foreign keys over several columns with an action of their own.
 * `npm run generate -- migration <name>` writes what was added or changed here into the next migration, and the drift check holds
 * a migrated database against the models plus this list.
 */
export type Statement = {
  /** Names it for good; a changed `create` under the same name replaces the former one. */
  name: string
  create: string
  /** Undoes it; used when it is changed or taken away. Not used for a change when `create` begins with CREATE OR REPLACE. */
  drop: string
}

/** Made before the tables, which may use them in defaults. */
export const beforeTables: Statement[] = [
  {
    name: 'app_now',
    // Tests shift the time of one database by replacing this function.
    create: `CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()';`,
    drop: 'DROP FUNCTION app_now();',
  },
]

/** Set to `on` within a transaction, no `updated_at` is stamped: what is written is no change that anybody made. */
export const unstamped = 'quayside.unstamped'

/** Tables with an `updated_at`: a change stamps it by the database's clock. */
const stamped = [
  'organization',
  'user_account',
  'member',
  'api_key',
  'server',
  'project',
  'environment',
  'web_service',
  'deployment',
  'instance',
  'service_runtime',
  'env_var',
  'secret',
  'secret_binding',
  'webhook_endpoint',
  'webhook_delivery',
  'operation',
]

const stamp = (table: string): Statement => ({
  name: `${table}_stamp`,
  create: `CREATE TRIGGER ${table}_stamp BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();`,
  drop: `DROP TRIGGER ${table}_stamp ON ${table};`,
})

/** What a route is made of; the router reads what changed, not all of it. */
const routeChange = (table: string, id: string, operation: 'INSERT' | 'UPDATE', condition: string): Statement => ({
  name: `${table}_route_${operation.toLowerCase()}`,
  create: `CREATE TRIGGER ${table}_route_${operation.toLowerCase()} AFTER ${operation} ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION note_route_change('${id}');`,
  drop: `DROP TRIGGER ${table}_route_${operation.toLowerCase()} ON ${table};`,
})

const check = (table: string, name: string, condition: string): Statement => ({
  name: `${table}_${name}_check`,
  create: `ALTER TABLE ${table} ADD CONSTRAINT ${table}_${name}_check CHECK (${condition});`,
  drop: `ALTER TABLE ${table} DROP CONSTRAINT ${table}_${name}_check;`,
})

/** Made after the tables. */
export const afterTables: Statement[] = [
  {
    name: 'stamp_updated_at',
    create: `CREATE OR REPLACE FUNCTION stamp_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('${unstamped}', true) IS DISTINCT FROM 'on' THEN
    NEW.updated_at := app_now();
  END IF;
  RETURN NEW;
END $$;`,
    drop: 'DROP FUNCTION stamp_updated_at();',
  },
  ...stamped.map(stamp),
  {
    name: 'note_route_change',
    // Inserts only, so that no two transactions wait for each other because of it.
    create: `CREATE OR REPLACE FUNCTION note_route_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO route_change (web_service_id, xid)
    VALUES ((to_jsonb(NEW) ->> TG_ARGV[0])::uuid, pg_current_xact_id()::text::bigint);
  RETURN NULL;
END $$;`,
    drop: 'DROP FUNCTION note_route_change();',
  },
  routeChange('web_service', 'id', 'INSERT', 'NEW.kind IS NOT NULL'),
  routeChange(
    'web_service',
    'id',
    'UPDATE',
    '(OLD.slug, OLD.kind, OLD.desired_state) IS DISTINCT FROM (NEW.slug, NEW.kind, NEW.desired_state)',
  ),
  routeChange('service_runtime', 'web_service_id', 'UPDATE', 'OLD.routed_deployment_id IS DISTINCT FROM NEW.routed_deployment_id'),
  routeChange('instance', 'web_service_id', 'UPDATE', '(OLD.routed, OLD.draining_since) IS DISTINCT FROM (NEW.routed, NEW.draining_since)'),
  routeChange(
    'deployment',
    'web_service_id',
    'UPDATE',
    '(OLD.status, OLD.leaves_stopped) IS DISTINCT FROM (NEW.status, NEW.leaves_stopped)',
  ),
  {
    name: 'audit_entry_append_only',
    // Only the sequencer may touch a row, once, to give it position and hash.
    create: `CREATE OR REPLACE FUNCTION audit_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
     AND to_jsonb(NEW) - 'position' - 'hash' = to_jsonb(OLD) - 'position' - 'hash' THEN
    RETURN NEW;
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
    name: 'secret_version_immutable',
    // A value may be sealed anew, and a version be revoked once; nothing else changes.
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
  {
    name: 'sequencer_row',
    create: 'INSERT INTO sequencer (id, event_position) VALUES (1, 0) ON CONFLICT DO NOTHING;',
    drop: 'DELETE FROM sequencer;',
  },
  check('sequencer', 'single', 'id = 1'),
  {
    name: 'webhook_fan_out_row',
    create: 'INSERT INTO webhook_fan_out (id, position) VALUES (1, 0) ON CONFLICT DO NOTHING;',
    drop: 'DELETE FROM webhook_fan_out;',
  },
  check('webhook_fan_out', 'single', 'id = 1'),
  {
    name: 'webhook_lane_rows',
    create: 'INSERT INTO webhook_lane (endpoint_id) SELECT id FROM webhook_endpoint ON CONFLICT DO NOTHING;',
    drop: 'DELETE FROM webhook_lane;',
  },
  check('webhook_delivery', 'due', "(status = 'PENDING') = (next_attempt_at IS NOT NULL)"),
  check('web_service', 'instances', 'min_instances >= 1 AND min_instances <= max_instances AND max_instances <= 20'),
  check('web_service', 'slug', "slug ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$'"),
  check('env_var', 'key', "key ~ '^[A-Za-z_][A-Za-z0-9_]*$'"),
  check('secret', 'key', "key ~ '^[A-Za-z_][A-Za-z0-9_]*$'"),
  check('secret_binding', 'alias', "alias ~ '^[A-Za-z_][A-Za-z0-9_]*$'"),
  check('deployment', 'live_release', "status <> 'LIVE' OR (release_digest IS NOT NULL AND live_at IS NOT NULL)"),
  check(
    'deployment',
    'failure',
    "status <> 'FAILED' OR (failure_phase IS NOT NULL AND failure_code IS NOT NULL AND failure_message IS NOT NULL)",
  ),
  check('deployment', 'finished', "status NOT IN ('FAILED', 'CANCELLED', 'SKIPPED', 'SUPERSEDED') OR finished_at IS NOT NULL"),
]
