-- AlterTable
ALTER TABLE "deployment" ADD COLUMN     "leaves_stopped" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "instance" DROP COLUMN "in_flight";

-- CreateTable
CREATE TABLE "router" (
    "process_id" TEXT NOT NULL,
    "port" INTEGER NOT NULL,
    "snapshot" TEXT NOT NULL,
    "load" JSONB NOT NULL DEFAULT '{}',
    "released" UUID[],
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "router_pkey" PRIMARY KEY ("process_id")
);

-- CreateTable
CREATE TABLE "route_change" (
    "id" BIGSERIAL NOT NULL,
    "web_service_id" UUID NOT NULL,
    "xid" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "route_change_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "route_change_xid_idx" ON "route_change"("xid");

-- CreateIndex
CREATE INDEX "route_change_created_at_idx" ON "route_change"("created_at");

-- CreateIndex
CREATE INDEX "instance_draining_idx" ON "instance"("id") WHERE (draining_since is not null and drained_at is null);

-- note_route_change
CREATE OR REPLACE FUNCTION note_route_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO route_change (web_service_id, xid)
    VALUES ((to_jsonb(NEW) ->> TG_ARGV[0])::uuid, pg_current_xact_id()::text::bigint);
  RETURN NULL;
END $$;

-- web_service_route_insert
CREATE TRIGGER web_service_route_insert AFTER INSERT ON web_service FOR EACH ROW WHEN (NEW.kind IS NOT NULL) EXECUTE FUNCTION note_route_change('id');

-- web_service_route_update
CREATE TRIGGER web_service_route_update AFTER UPDATE ON web_service FOR EACH ROW WHEN ((OLD.slug, OLD.kind, OLD.desired_state) IS DISTINCT FROM (NEW.slug, NEW.kind, NEW.desired_state)) EXECUTE FUNCTION note_route_change('id');

-- service_runtime_route_update
CREATE TRIGGER service_runtime_route_update AFTER UPDATE ON service_runtime FOR EACH ROW WHEN (OLD.routed_deployment_id IS DISTINCT FROM NEW.routed_deployment_id) EXECUTE FUNCTION note_route_change('web_service_id');

-- instance_route_update
CREATE TRIGGER instance_route_update AFTER UPDATE ON instance FOR EACH ROW WHEN ((OLD.routed, OLD.draining_since) IS DISTINCT FROM (NEW.routed, NEW.draining_since)) EXECUTE FUNCTION note_route_change('web_service_id');

-- deployment_route_update
CREATE TRIGGER deployment_route_update AFTER UPDATE ON deployment FOR EACH ROW WHEN ((OLD.status, OLD.leaves_stopped) IS DISTINCT FROM (NEW.status, NEW.leaves_stopped)) EXECUTE FUNCTION note_route_change('web_service_id');
