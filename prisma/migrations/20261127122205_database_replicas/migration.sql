-- DropForeignKey
ALTER TABLE "database" DROP CONSTRAINT "database_primary_id_fkey";

-- DropIndex
DROP INDEX "database_primary_id_idx";

-- AlterTable
ALTER TABLE "database" DROP COLUMN "primary_id";

-- CreateTable
CREATE TABLE "database_replica" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID NOT NULL,
    "database_id" UUID NOT NULL,
    "desired_state" "desired_state" NOT NULL,
    "status" "resource_status" NOT NULL,
    "status_message" TEXT,
    "host" TEXT NOT NULL,
    "port" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL,
    "applied_generation" INTEGER NOT NULL DEFAULT 0,
    "revision" INTEGER NOT NULL,
    "applied_revision" INTEGER NOT NULL DEFAULT 0,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "next_start_at" TIMESTAMPTZ(3),
    "started_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "database_replica_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "database_replica_database_id_id_idx" ON "database_replica"("database_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "database_replica_organization_id_project_id_environment_id__key" ON "database_replica"("organization_id", "project_id", "environment_id", "id");

-- AddForeignKey
ALTER TABLE "database_replica" ADD CONSTRAINT "database_replica_organization_id_project_id_environment_id_fkey" FOREIGN KEY ("organization_id", "project_id", "environment_id", "id") REFERENCES "resource"("organization_id", "project_id", "environment_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "database_replica" ADD CONSTRAINT "database_replica_database_fkey" FOREIGN KEY ("organization_id", "project_id", "environment_id", "database_id") REFERENCES "database"("organization_id", "project_id", "environment_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- database_replica_stamp
CREATE TRIGGER database_replica_stamp BEFORE UPDATE ON database_replica FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- database_replica_port_check
ALTER TABLE database_replica ADD CONSTRAINT database_replica_port_check CHECK (port BETWEEN 1 AND 65535);
