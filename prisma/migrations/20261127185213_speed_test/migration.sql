-- CreateEnum
CREATE TYPE "speed_test_type" AS ENUM ('LIGHT', 'HEAVY');

-- CreateEnum
CREATE TYPE "speed_test_status" AS ENUM ('SUCCEEDED', 'FAILED');

-- CreateTable
CREATE TABLE "speed_test" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "odoo_account_id" UUID NOT NULL,
    "type" "speed_test_type" NOT NULL,
    "status" "speed_test_status" NOT NULL,
    "latency_ms" INTEGER,
    "details" TEXT,
    "tested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "speed_test_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "speed_test_run" (
    "odoo_account_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "token" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "speed_test_run_pkey" PRIMARY KEY ("odoo_account_id")
);

-- CreateIndex
CREATE INDEX "speed_test_organization_id_id_idx" ON "speed_test"("organization_id", "id");

-- CreateIndex
CREATE INDEX "speed_test_odoo_account_id_id_idx" ON "speed_test"("odoo_account_id", "id");

-- CreateIndex
CREATE INDEX "speed_test_created_at_idx" ON "speed_test"("created_at");

-- CreateIndex
CREATE UNIQUE INDEX "speed_test_run_organization_id_odoo_account_id_key" ON "speed_test_run"("organization_id", "odoo_account_id");

-- AddForeignKey
ALTER TABLE "speed_test" ADD CONSTRAINT "speed_test_organization_id_odoo_account_id_fkey" FOREIGN KEY ("organization_id", "odoo_account_id") REFERENCES "odoo_account"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "speed_test_run" ADD CONSTRAINT "speed_test_run_organization_id_odoo_account_id_fkey" FOREIGN KEY ("organization_id", "odoo_account_id") REFERENCES "odoo_account"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- speed_test_stamp
CREATE TRIGGER speed_test_stamp BEFORE UPDATE ON speed_test FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- speed_test_latency_check
ALTER TABLE speed_test ADD CONSTRAINT speed_test_latency_check CHECK ((status = 'SUCCEEDED') = (latency_ms IS NOT NULL) AND latency_ms >= 0);
