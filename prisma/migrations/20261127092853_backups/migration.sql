-- CreateEnum
CREATE TYPE "backup_status" AS ENUM ('PENDING', 'RUNNING', 'STORED', 'VERIFIED', 'FAILED');

-- CreateEnum
CREATE TYPE "backup_trigger" AS ENUM ('MANUAL', 'SCHEDULE');

-- CreateEnum
CREATE TYPE "restore_status" AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED');

-- CreateTable
CREATE TABLE "backup" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID,
    "database_id" UUID,
    "trigger" "backup_trigger" NOT NULL,
    "status" "backup_status" NOT NULL DEFAULT 'PENDING',
    "archive" TEXT NOT NULL,
    "size_bytes" DOUBLE PRECISION,
    "checksum" TEXT,
    "postgres_version" TEXT NOT NULL,
    "original" JSON NOT NULL,
    "details" JSON,
    "consistent_at" TIMESTAMPTZ(3),
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "verified_at" TIMESTAMPTZ(3),
    "error" TEXT,
    "deleting_at" TIMESTAMPTZ(3),
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "lease_owner" TEXT,
    "lease_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_ended" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "backup_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "backup_schedule" (
    "database_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "cron" TEXT NOT NULL,
    "enabled" BOOLEAN NOT NULL,
    "keep" INTEGER NOT NULL,
    "next_run_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "backup_schedule_pkey" PRIMARY KEY ("database_id")
);

-- CreateTable
CREATE TABLE "restore" (
    "database_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "backup_id" UUID NOT NULL,
    "source_id" UUID,
    "target_time" TIMESTAMPTZ(3),
    "status" "restore_status" NOT NULL DEFAULT 'PENDING',
    "steps_completed" INTEGER NOT NULL DEFAULT 0,
    "error" TEXT,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "lease_owner" TEXT,
    "lease_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_ended" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "restore_pkey" PRIMARY KEY ("database_id")
);

-- CreateIndex
CREATE INDEX "backup_organization_id_id_idx" ON "backup"("organization_id", "id");

-- CreateIndex
CREATE INDEX "backup_project_id_id_idx" ON "backup"("project_id", "id");

-- CreateIndex
CREATE INDEX "backup_database_id_id_idx" ON "backup"("database_id", "id");

-- CreateIndex
CREATE INDEX "backup_environment_id_idx" ON "backup"("environment_id");

-- CreateIndex
CREATE INDEX "backup_due_idx" ON "backup"("due_at") WHERE (status in ('PENDING', 'RUNNING', 'STORED'));

-- CreateIndex
CREATE INDEX "backup_deleting_idx" ON "backup"("deleting_at") WHERE (deleting_at is not null);

-- CreateIndex
CREATE UNIQUE INDEX "backup_organization_id_project_id_id_key" ON "backup"("organization_id", "project_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "backup_in_progress_key" ON "backup"("database_id") WHERE (status in ('PENDING', 'RUNNING'));

-- CreateIndex
CREATE INDEX "backup_schedule_due_idx" ON "backup_schedule"("next_run_at") WHERE (next_run_at is not null);

-- CreateIndex
CREATE INDEX "restore_backup_id_idx" ON "restore"("backup_id");

-- CreateIndex
CREATE INDEX "restore_source_id_idx" ON "restore"("source_id");

-- CreateIndex
CREATE INDEX "restore_due_idx" ON "restore"("due_at") WHERE (status in ('PENDING', 'RUNNING'));

-- AddForeignKey
ALTER TABLE "backup" ADD CONSTRAINT "backup_organization_id_project_id_fkey" FOREIGN KEY ("organization_id", "project_id") REFERENCES "project"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "backup" ADD CONSTRAINT "backup_environment_id_fkey" FOREIGN KEY ("environment_id") REFERENCES "environment"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "backup" ADD CONSTRAINT "backup_database_id_fkey" FOREIGN KEY ("database_id") REFERENCES "database"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "backup_schedule" ADD CONSTRAINT "backup_schedule_database_id_fkey" FOREIGN KEY ("database_id") REFERENCES "database"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "restore" ADD CONSTRAINT "restore_organization_id_project_id_backup_id_fkey" FOREIGN KEY ("organization_id", "project_id", "backup_id") REFERENCES "backup"("organization_id", "project_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "restore" ADD CONSTRAINT "restore_database_id_fkey" FOREIGN KEY ("database_id") REFERENCES "database"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "restore" ADD CONSTRAINT "restore_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "database"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- backup_stamp
CREATE TRIGGER backup_stamp BEFORE UPDATE ON backup FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- backup_schedule_stamp
CREATE TRIGGER backup_schedule_stamp BEFORE UPDATE ON backup_schedule FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- restore_stamp
CREATE TRIGGER restore_stamp BEFORE UPDATE ON restore FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- backup_stored_check
ALTER TABLE backup ADD CONSTRAINT backup_stored_check CHECK (status NOT IN ('STORED', 'VERIFIED') OR (details IS NOT NULL AND checksum IS NOT NULL AND consistent_at IS NOT NULL));

-- backup_schedule_keep_check
ALTER TABLE backup_schedule ADD CONSTRAINT backup_schedule_keep_check CHECK (keep BETWEEN 1 AND 100);

-- backup_schedule_next_run_at_check
ALTER TABLE backup_schedule ADD CONSTRAINT backup_schedule_next_run_at_check CHECK ((next_run_at IS NOT NULL) <= enabled);
