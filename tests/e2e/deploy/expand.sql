-- The new column beside the old one, kept equal by a trigger while both versions write. Safe to run again.
BEGIN;
ALTER TABLE people ADD COLUMN IF NOT EXISTS full_name text;
CREATE OR REPLACE FUNCTION people_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.name IS DISTINCT FROM OLD.name THEN
        NEW.full_name := NEW.name;
    ELSIF TG_OP = 'UPDATE' AND NEW.full_name IS DISTINCT FROM OLD.full_name THEN
        NEW.name := NEW.full_name;
    ELSE
        NEW.full_name := COALESCE(NEW.full_name, NEW.name);
        NEW.name := COALESCE(NEW.name, NEW.full_name);
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER people_names BEFORE INSERT OR UPDATE ON people
    FOR EACH ROW EXECUTE FUNCTION people_names();
COMMIT;
-- Rows from before the trigger, after it is there, so that none is missed.
UPDATE people SET full_name = name WHERE full_name IS NULL;
