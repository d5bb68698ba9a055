DROP TRIGGER service_runtime_route_update ON service_runtime;

-- AlterTable
ALTER TABLE "service_runtime" ADD COLUMN     "aside_for_id" UUID,
ADD COLUMN     "held_since" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "disk" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "mount_path" TEXT NOT NULL,
    "size_bytes" DOUBLE PRECISION NOT NULL,
    "used_bytes" DOUBLE PRECISION,
    "measured_at" TIMESTAMPTZ(3),
    "measure_ms" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "over_limit" BOOLEAN NOT NULL DEFAULT false,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "disk_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "disk_removal" (
    "disk_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "disk_removal_pkey" PRIMARY KEY ("disk_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "disk_web_service_id_name_key" ON "disk"("web_service_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "disk_web_service_id_mount_path_key" ON "disk"("web_service_id", "mount_path");

-- AddForeignKey
ALTER TABLE "disk" ADD CONSTRAINT "disk_organization_id_project_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "project_id", "web_service_id") REFERENCES "web_service"("organization_id", "project_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- disk_stamp
CREATE TRIGGER disk_stamp BEFORE UPDATE OF version ON disk FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- disk_size_bytes_check
ALTER TABLE disk ADD CONSTRAINT disk_size_bytes_check CHECK (size_bytes BETWEEN 1048576 AND 17592186044416);

-- service_runtime_route_update
CREATE TRIGGER service_runtime_route_update AFTER UPDATE ON service_runtime FOR EACH ROW WHEN ((OLD.routed_deployment_id, OLD.held_since) IS DISTINCT FROM (NEW.routed_deployment_id, NEW.held_since)) EXECUTE FUNCTION note_route_change('web_service_id');
