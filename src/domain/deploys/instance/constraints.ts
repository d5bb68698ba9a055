import { type Statement, stamped } from '../../../platform/db/constraints.ts'

/** Records a change that may change a route, so that the router reads what changed and not everything. `id`: the column of the service. */
export const routeChange = (table: string, id: string, operation: 'INSERT' | 'UPDATE' | 'DELETE', condition: string): Statement => ({
  name: `${table}_route_${operation.toLowerCase()}`,
  create: `CREATE TRIGGER ${table}_route_${operation.toLowerCase()} AFTER ${operation} ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION note_route_change('${id}');`,
  drop: `DROP TRIGGER ${table}_route_${operation.toLowerCase()} ON ${table};`,
})

export const constraints: Statement[] = [
  ...stamped('instance', 'service_runtime'),
  {
    name: 'note_route_change',
    // Inserts only, so that no two transactions wait for each other because of it.
    create: `CREATE OR REPLACE FUNCTION note_route_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO route_change (web_service_id, xid)
    VALUES ((to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END) ->> TG_ARGV[0])::uuid, pg_current_xact_id()::text::bigint);
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
  routeChange(
    'custom_domain',
    'web_service_id',
    'UPDATE',
    '(OLD.verified_at, OLD.dns_status, OLD.is_primary) IS DISTINCT FROM (NEW.verified_at, NEW.dns_status, NEW.is_primary)',
  ),
  routeChange('custom_domain', 'web_service_id', 'DELETE', 'OLD.verified_at IS NOT NULL'),
  routeChange(
    'service_runtime',
    'web_service_id',
    'UPDATE',
    '(OLD.routed_deployment_id, OLD.held_since) IS DISTINCT FROM (NEW.routed_deployment_id, NEW.held_since)',
  ),
  routeChange('instance', 'web_service_id', 'UPDATE', '(OLD.routed, OLD.draining_since) IS DISTINCT FROM (NEW.routed, NEW.draining_since)'),
]
