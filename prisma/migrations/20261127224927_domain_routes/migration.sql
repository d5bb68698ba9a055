-- note_route_change
CREATE OR REPLACE FUNCTION note_route_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO route_change (web_service_id, xid)
    VALUES ((to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END) ->> TG_ARGV[0])::uuid, pg_current_xact_id()::text::bigint);
  RETURN NULL;
END $$;

-- custom_domain_route_update
CREATE TRIGGER custom_domain_route_update AFTER UPDATE ON custom_domain FOR EACH ROW WHEN ((OLD.verified_at, OLD.dns_status, OLD.is_primary) IS DISTINCT FROM (NEW.verified_at, NEW.dns_status, NEW.is_primary)) EXECUTE FUNCTION note_route_change('web_service_id');

-- custom_domain_route_delete
CREATE TRIGGER custom_domain_route_delete AFTER DELETE ON custom_domain FOR EACH ROW WHEN (OLD.verified_at IS NOT NULL) EXECUTE FUNCTION note_route_change('web_service_id');
